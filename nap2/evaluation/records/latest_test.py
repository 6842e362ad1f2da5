"""Rows of one exam: under transfer every labelled candidate is tested, and a target that grew sets another one."""

from collections.abc import Sequence

from nap2.evaluation.records.rows import ResultRow


def of_latest_test(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Those on as many candidates as the latest: what was tested before the target grew sat another exam."""
    if not rows:
        return []
    latest = max(rows, key=lambda row: row.date)
    return [row for row in rows if row.num_test + row.num_failed == latest.num_test + latest.num_failed]
