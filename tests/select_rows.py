"""Result rows by the values of their fields."""


def select(rows, **wanted):
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
