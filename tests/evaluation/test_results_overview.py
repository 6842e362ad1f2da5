"""The overview holds one line per section and source, with the most labels, at the last budget."""

from nap2.evaluation.pages.results_overview import NAP2, most_labels, overview
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.rows import ResultRow


def row(method, value, budget=100, source="", size=0, metric="kendall_tau"):
    names = {"space": "nasbench201", "target": "cifar10", "metric": metric, "num_test": 40, "source": source}
    return ResultRow(method=method, value=value, query_batches=budget, train_size=size, trial=0, **names)


def test_a_line_holds_what_one_source_gives_at_the_last_budget():
    found = aggregate(
        [
            row(NAP2, 0.5, 100, "a", 20),
            row(NAP2, 0.4, 50, "a", 20),
            row(NAP2, 0.3, 100, "a", 10),
            row(NAP2, 0.9, 100, "a", 20, metric="spearman_rho"),
            row("graph regression", 0.7, 0, "a", 20),
            row("graph regression", 0.1, 0, "b", 20),
            row("parameters", 0.6, 0),
        ]
    )
    assert overview({"Here": found}).rows == (("Here", "a", "20", "40", "100", "0.500", "0.700", "0.600", "–"),)


def test_each_source_has_a_line_and_the_heading_stands_once():
    found = aggregate(
        [row(NAP2, 0.5, 100, "a", 20), row(NAP2, 0.4, 100, "b", 30), row("graph regression", 0.7, 0, "a", 20)]
    )
    lines = overview({"Here": found, "Nothing of ours": aggregate([row("parameters", 0.6, 0)])}).rows
    assert [line[:7] for line in lines] == [
        ("Here", "a", "20", "40", "100", "0.500", "0.700"),
        ("", "b", "30", "40", "100", "0.400", "–"),
    ]


def test_no_reference_has_seen_more_than_nap2_on_its_line():
    found = [row(NAP2, 0.5, budget, "a", 20) for budget in (100, 500)] + [row(NAP2, 0.4, 100, "b", 20)]
    table = overview({"Here": aggregate([*found, row("early_stopping", 0.1, 100), row("early_stopping", 0.3, 500)])})
    assert [(line[1], line[4], line[-1]) for line in table.rows] == [("a", "500", "0.300"), ("b", "100", "0.100")]


def test_the_most_labels_are_those_of_each_source():
    found = aggregate(
        [row("x", 0.1, source="a", size=10), row("y", 0.1, source="a", size=30), row("x", 0.1, source="b", size=5)]
    )
    assert most_labels([*found, *aggregate([row("parameters", 0.2)])]) == {"a": 30, "b": 5}
