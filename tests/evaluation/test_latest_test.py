"""What was tested before a target grew sat another exam."""

from nap2.evaluation.records.latest_test import of_latest_test
from nap2.evaluation.records.rows import ResultRow


def test_what_was_tested_before_the_target_grew_is_not_set_beside_what_was_tested_since() -> None:
    def row(method: str, num_test: int, num_failed: int, date: str) -> ResultRow:
        common = {"space": "s", "target": "t", "metric": "kendall_tau", "value": 0.5}
        return ResultRow(method=method, num_test=num_test, num_failed=num_failed, date=date, **common)

    rows = [row("old", 100, 0, "2026-01-01"), row("nap2", 120, 0, "2026-02-01"), row("snip", 118, 2, "2026-02-01")]
    assert [one.method for one in of_latest_test(rows)] == ["nap2", "snip"]
    assert of_latest_test([]) == []
