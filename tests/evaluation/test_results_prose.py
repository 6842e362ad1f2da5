"""Every decimal in the prose of the results page is a figure of the rows beside it, or of the paper.

So is every interval, in square brackets, of the differences beside it, but for some from before
`nap2.evaluation.compare` could keep them.
"""

import re
from pathlib import Path
from statistics import NormalDist

import pytest

from nap2.baselines import POOL_SCORES, PROXIES
from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.difference_log import read_differences, read_lines
from nap2.evaluation.records.published import load_published
from nap2.evaluation.results_page import DIFFERENCES, one_of_each, section_rows

DOCS = Path(__file__).parents[2] / "docs"
PUBLISHED = load_published(DOCS / "published/nap2.csv")
DECIMAL = r"−?(?<![\d.])\.\d+"
PCA, FEW, UNION = "nap2 (pca encoder)", "nap2 (pca8 encoder)", "cifar10+tinyimagenet16-120"
FAMILIES = ("norm", "general", "distribution")
EARLY_CURVE = ("sotl", "sotl_e", "last_losses", "early_stopping")
INTERVAL = re.compile(r"\[([+−]?\.\d+),\s+([+−]?\.\d+)\]")
NOT_KEPT = {"3-transfer": 1, "5-union": 1, "6-what-it-reads": 3}
"""Intervals in the prose of which no row says how they came about."""


class Section:
    """The rows of one section, by what is asked of them."""

    def __init__(self, name: str) -> None:
        self.folder = DOCS / "results" / name
        self.found = aggregate(one_of_each(section_rows(self.folder)))
        self.prose = (self.folder / "intro.md").read_text()

    def one(self, method: str, size: int = 0, batches: int = 100, source: str | None = None) -> Aggregate:
        asked = ("kendall_tau", method, size, batches)
        rows = [(one, one.row) for one in self.found if source in (None, one.row.source)]
        (found,) = [one for one, r in rows if (r.metric, r.method, r.train_size, r.query_batches) == asked]
        return found

    def tau(self, method: str, size: int = 0, batches: int = 100, source: str | None = None) -> float:
        mean = self.one(method, size, batches, source).mean
        assert mean is not None
        return mean

    def holds_zero(self, method: str, batches: int = 100) -> bool:
        """Whether the interval of τ itself leaves open which way a method points."""
        row = self.one(method, batches=batches).row
        return row.low is not None and row.high is not None and row.low < 0 < row.high

    def differences(self, size: int) -> list[Difference]:
        return read_differences(self.folder / DIFFERENCES, size)

    def between(self, size: int, source: str) -> Difference:
        """NAP2 of another source against that of CIFAR-10."""
        (found,) = [one for one in self.differences(size) if (one.method, one.source) == (PCA, source)]
        return found

    def paired(self, size: int, method: str, against: str, source: str = "cifar10") -> Difference:
        asked = (method, against, source)
        kept = read_differences(self.folder / DIFFERENCES, size)
        (found,) = [one for one in kept if (one.method, one.against, one.against_source) == asked]
        return found


def bounds(found: Difference, digits: int) -> tuple[float, float]:
    return round(found.interval.low, digits), round(found.interval.high, digits)


def printed(
    table: str, method: str, snapshots: int, init_time_s: float | None = None, target: str = "cifar10"
) -> float:
    """The paper's Kendall τ, in-domain where it was fitted on anything, of all features where the table has several."""
    asked = (table, "kendall_tau", method, snapshots, init_time_s, target)
    (found,) = [
        one.mean
        for one in PUBLISHED
        if (one.table, one.metric, one.method, one.snapshots, one.init_time_s, one.target) == asked
        and one.source in (None, target)
        and one.condition in (None, "Both (default)")
    ]
    return found


def ablated(condition: str, table: str = "36", target: str = "cifar100") -> float:
    asked = (table, condition, 1, target)
    (found,) = [p.mean for p in PUBLISHED if (p.table, p.condition, p.snapshots, p.target) == asked]
    return found


def cifar10() -> list[float]:
    s, dynamics, curve = Section("1-cifar10"), "nap2_plus: dynamics alone (pca encoder)", "nap2_plus: curve alone"
    against = ("parameters", dynamics, curve, "graph regression", "meco", "swap_reg", f"{PCA[:-1]}, gradients alone)")
    paired = {one.method: one for one in read_differences(s.folder / DIFFERENCES, 240) if one.against == PCA}
    ahead = {"graph regression", "meco", "swap_reg"}
    assert {paired[name].verdict for name in ahead} == {"better"}
    assert {paired[name].verdict for name in {*against} - ahead} == {"worse"}
    shown = [
        (0.027, 0.104),
        (0.02, 0.075),
        (0.115, 0.242),
        (0.064, 0.135),
        (0.025, 0.094),
        (0.011, 0.07),
        (0.018, 0.062),
    ]
    signs = [1 if name in ahead else -1 for name in against]
    for name, sign, interval in zip(against, signs, shown, strict=True):
        assert tuple(sorted(sign * bound for bound in bounds(paired[name], 3))) == interval
    plus = [
        s.paired(240, f"nap2_plus: {part}", "nap2_plus (pca encoder)") for part in ("without dynamics", "graph alone")
    ]
    assert [bounds(one, 3) for one in plus] == [(-0.011, 0.003), (-0.029, 0.001)]
    labels = {size: s.paired(size, "parameters", PCA).verdict for size in (50, 100)}
    assert labels == {50: "better", 100: "none"}  # "beside", "far below"
    assert s.paired(50, dynamics, PCA).verdict == "better"  # "below that linear model"
    scored = [paired[name].verdict for name in (*PROXIES, *POOL_SCORES) if name in paired]
    assert [len(scored), scored.count("better"), scored.count("none")] == [34, 2, 5]
    unlabelled = [s.tau(f"{PCA[:-1]}, unlabelled maps too)", size) for size in (240, 50)]
    weights, static = (paired[f"{PCA[:-1]}, {name})"] for name in ("weights alone", "static"))
    assert [(one.verdict, *bounds(one, 3)) for one in (weights, static)] == [
        ("none", -0.026, 0.034),
        ("worse", -0.173, -0.087),
    ]
    more_maps = [s.paired(size, f"{PCA[:-1]}, unlabelled maps too)", PCA) for size in (240, 50)]
    assert [(one.verdict, *bounds(one, 3)) for one in more_maps] == [("none", -0.03, 0.012), ("none", -0.107, 0.037)]
    return [
        *(s.tau(PCA, size) for size in (240, 100, 50)),
        *(abs(paired[name].interval.value) for name in against[:3]),
        *(s.tau("sotl"), s.tau("early_stopping"), s.tau(dynamics, 50), Section("9-encoders").tau("nap2", 50)),
        *(paired["graph regression"].interval.value, s.tau("meco", batches=0), paired["meco"].interval.value),
        *(s.tau("swap_reg", batches=0), paired["swap_reg"].interval.value, s.tau("nap2_plus (pca encoder)", 240)),
        *(-one.interval.value for one in plus),
        *(s.tau(weights.method, 240), weights.interval.value, -paired[against[-1]].interval.value),
        -static.interval.value,
        *unlabelled,
        *(one - s.tau(PCA, size) for one, size in zip(unlabelled, (240, 50), strict=True)),
        *(printed("4", "SoTL-E", 1), printed("4", "SoTL", 1), printed("32", "NAP2", 1)),
        *(printed("1", "NAP2", 6, init_time_s=seconds) for seconds in (2.2e6, 1.8e5)),
        s.tau(PCA, 240) - s.tau(PCA, 100),
    ]


def encoders() -> list[float]:
    s, random, sizes = Section("9-encoders"), "nap2 (random encoder)", (50, 100, 240)
    taus = [s.tau(name, size) for name in ("nap2", FEW) for size in sizes]
    few, many = ([s.paired(size, FEW, against) for size in sizes] for against in ("nap2", PCA))
    assert [one.verdict for one in (*few, *many)] == ["none"] * 3 + ["better", "none", "none"]
    cae = [s.paired(size, "nap2", PCA) for size in sizes]
    assert [one.verdict for one in cae] == ["better", "none", "worse"]
    beside = [s.paired(size, name, random) for name, size in (("nap2", 50), ("nap2", 240), (PCA, 240), (PCA, 50))]
    assert [one.verdict for one in beside] == ["better", "better", "better", "none"]
    size = [s.paired(50, "parameters", "nap2"), *(s.paired(size, FEW, "parameters", "") for size in (50, 240))]
    assert [one.verdict for one in size] == ["none", "none", "better"]
    return [
        *(*taus, *(one.interval.value for one in few)),
        *(s.tau(PCA, 50), many[0].interval.value, cae[0].interval.value, s.tau(PCA, 100), s.tau(PCA, 240)),
        *(-cae[2].interval.value, -many[2].interval.value),
        *(s.tau(random, 50), s.tau(random, 240), *(one.interval.value for one in beside[:3])),
        *(size[0].interval.value, -size[1].interval.value, size[2].interval.value),
    ]


def encoders_elsewhere() -> list[float]:
    s, sizes = Section("14-encoders-elsewhere"), (50, 100, 240)
    cae, few, many = (
        [s.paired(size, one, other) for size in sizes] for one, other in (("nap2", PCA), (FEW, "nap2"), (FEW, PCA))
    )
    assert [one.verdict for one in (*cae, *few)] == ["better", "better", "none", "none", "worse", "none"]
    assert many[0].verdict == "better"
    by_size, by_graph = (
        [s.paired(size, name, "nap2") for size in sizes] for name in ("parameters", "graph regression")
    )
    assert [one.verdict for one in by_size] == ["none", "worse", "worse"]
    assert s.paired(50, FEW, "parameters", "").verdict == "none"
    assert s.tau(PCA, 50) < s.tau("parameters", batches=0)
    assert [one.verdict for one in by_graph] == ["none", "better", "better"]
    return [
        *(s.tau(PCA, 50), s.tau("nap2", 50), cae[0].interval.value, s.tau(FEW, 50), many[0].interval.value),
        *(s.tau("nap2", 100), s.tau(PCA, 100), cae[1].interval.value, s.tau(FEW, 100), -few[1].interval.value),
        *(s.tau("nap2", 240), s.tau(PCA, 240), cae[2].interval.value, s.tau(FEW, 240), -few[2].interval.value),
        *(s.tau("parameters", batches=0), -by_size[1].interval.value),
        *(s.tau("graph regression", size, 0) for size in (100, 240)),
        *(one.interval.value for one in by_graph[1:]),
    ]


def encoders_on_other_labels() -> list[float]:
    s, own, sizes = Section("15-encoders-own-labels"), "tinyimagenet16-120", (50, 100, 196)
    pairs = (("nap2", PCA), (FEW, "nap2"), (FEW, PCA))
    beside = [s.paired(size, *pair, own) for pair in pairs for size in sizes]
    assert {one.verdict for one in beside} == {"none"}
    for name, verdicts in (("parameters", ("none", "worse")), ("graph regression", ("better", "better"))):
        for size, verdict in zip((50, 196), verdicts, strict=True):
            assert {s.paired(size, name, one, own).verdict for one in ("nap2", FEW, PCA)} == {verdict}
    assert {s.paired(100, "graph regression", one, own).verdict for one in ("nap2", FEW, PCA)} == {"better"}
    largest = max(beside, key=lambda one: abs(one.interval.value))
    assert (largest.method, largest.against) == ("nap2", PCA)
    return [
        *(s.tau(name, size) for name in ("nap2", FEW, PCA) for size in sizes),
        *(
            -largest.interval.value,
            s.tau("parameters", batches=0),
            -s.paired(196, "parameters", FEW, own).interval.value,
        ),
        *(s.tau("graph regression", size, 0) for size in sizes),
    ]


def transfer() -> list[float]:
    s, plus, own = Section("3-transfer"), "nap2_plus (pca encoder)", "tinyimagenet16-120"
    fits = {(240, "cifar10"): "better", (144, own): "none", (50, own): "none", (50, "cifar10"): "worse"}
    graph = [s.paired(size, "graph regression", PCA, source) for size, source in fits]
    assert {one.verdict for one in graph} == {"better"}
    by_size = [s.paired(size, "parameters", PCA, source) for size, source in fits]
    opposite = {"worse": "better", "better": "worse", "none": "none"}
    assert [opposite[one.verdict] for one in by_size] == list(fits.values())
    assert [bounds(one, 3) for one in by_size[:2]] == [(-0.106, -0.012), (-0.094, 0.004)]
    parts = ("graph alone", "without dynamics")
    assert {s.paired(240, f"nap2_plus: {part}", plus, "cifar10").verdict for part in parts} == {"better"}
    assert s.paired(144, "nap2_plus: graph alone", plus, own).verdict == "none"
    for name in ("sotl", "early_stopping"):
        assert (s.one(name).row.high or 0) < 0
    gaps = sorted(one.interval.value for one in graph)
    return [
        *(s.tau(PCA, 240, source="cifar10"), s.tau(PCA, 144), s.tau(PCA, 240, source="cifar10") - s.tau(PCA, 144)),
        *(s.tau("parameters", batches=0), -by_size[0].interval.value, -by_size[1].interval.value, gaps[0], gaps[-1]),
        *(s.tau(PCA, 50, source="cifar10"), by_size[3].interval.value, s.tau(PCA, 50, source=own)),
        *(s.tau("sotl"), s.tau("early_stopping"), s.tau("last_losses"), s.tau(plus, 144)),
        *(s.tau("nap2_plus: graph alone", 144, 0), s.tau(plus, 240), s.tau("nap2_plus: graph alone", 240, 0)),
        s.tau("nap2_plus: without dynamics", 240),
    ]


def cifar100() -> list[float]:
    s, own, tiny, sizes = Section("4-cifar100"), "cifar10", "tinyimagenet16-120", (50, 100, 240)
    size, graph = (s.paired(240, name, PCA, own) for name in ("parameters", "graph regression"))
    little, of_tiny, of_both = s.paired(50, "parameters", PCA, own), s.between(196, tiny), s.between(240, UNION)
    assert [one.verdict for one in (size, graph, little)] == ["none", "better", "better"]
    assert {of_tiny.verdict, of_both.verdict} == {"none"}
    assert {s.paired(240, name, PCA, own).verdict for name in EARLY_CURVE} == {"worse"}
    for name in ("sotl", "early_stopping"):
        assert (s.one(name).row.high or 0) < 0
    cae, few, both = (
        [s.paired(labels, method, against, own) for labels in sizes]
        for method, against in (("nap2", PCA), (FEW, PCA), (FEW, "nap2"))
    )
    assert [one.verdict for one in (*cae, *both)] == ["better", "better", "none", *["none"] * 3]
    assert few[0].verdict == "better"
    half = "cifar100-25k"
    against = ((FEW, own), (PCA, half), ("parameters", ""), ("graph regression", half))
    beside = [s.paired(46, FEW, *other) for other in against]
    assert {one.verdict for one in beside} == {"none"}
    return [
        *(s.tau(PCA, 240, source=own), s.tau("parameters", batches=0), -size.interval.value),
        *(s.tau("graph regression", 240, 0, own), graph.interval.value, s.tau("sotl"), s.tau("early_stopping")),
        *(s.tau(PCA, 50, source=own), little.interval.value, s.tau(FEW, 50), few[0].interval.value),
        *(s.tau("nap2", 50), cae[0].interval.value, s.tau(FEW, 100), s.tau("nap2", 100), both[1].interval.value),
        *(s.tau(FEW, 240), s.tau("nap2", 240), both[2].interval.value),
        *(s.tau(PCA, 100, source=own), cae[1].interval.value, -cae[2].interval.value),
        *(s.tau(PCA, 50, source=tiny), s.tau(PCA, 196, source=tiny)),
        *(s.tau(PCA, 240, source=UNION), s.tau(PCA, 50, source=UNION)),
        *(of_tiny.interval.value, -of_both.interval.value),
        *(s.tau(FEW, 46), beside[0].interval.value, s.tau(PCA, 46), beside[1].interval.value, beside[2].interval.value),
        *(s.tau("graph regression", 46, 0), beside[3].interval.value),
    ]


def union() -> list[float]:
    s, t = Section("5-union"), Section("3-transfer")
    both, alone = ([s.tau(PCA, size, source=source) for size in (50, 240)] for source in (UNION, "cifar10"))
    paired = [s.paired(size, PCA, PCA) for size in (50, 240)]
    assert [one.verdict for one in paired] == ["better", "worse"]
    assert [bounds(one, 3) for one in paired] == [(0.004, 0.185), (-0.076, -0.018)]
    elsewhere = {size: [t.tau(PCA, size, source=source) for source in (UNION, "cifar10")] for size in (240, 50)}
    return [
        *(both[0], alone[0], paired[0].interval.value, both[1], alone[1], paired[1].interval.value),
        *(*elsewhere[240], elsewhere[50][0] - elsewhere[50][1]),
        Section("1-cifar10").tau("nap2_plus: dynamics alone (pca encoder)", 50),
    ]


def what_it_reads() -> list[float]:
    s = Section("6-what-it-reads")
    gains = [
        s.tau(name, 160) - s.tau(name, 160, 1) for name in (f"{PCA[:-1]}, {m} alone)" for m in ("weights", "gradients"))
    ]
    gain, static = s.tau(PCA, 160) - s.tau(PCA, 160, 1), s.tau(f"{PCA[:-1]}, static)", 160)
    compared = {
        one.method: one.interval
        for one in read_differences(s.folder / DIFFERENCES, 160)
        if (one.against, one.against_batches) == (PCA, 100)
    }
    paired, curve = compared[f"{PCA[:-1]}, static)"], compared["nap2_plus: curve alone"]
    assert [round(number, 3) for number in (paired.value, paired.low, paired.high)] == [-0.077, -0.142, -0.017]
    assert [round(number, 2) for number in (curve.value, curve.low, curve.high)] == [-0.1, -0.18, -0.02]
    norm, general, shape = (s.paired(160, f"{PCA[:-1]}, {name} alone)", PCA) for name in FAMILIES)
    assert [one.verdict for one in (norm, general, shape)] == ["none", "none", "worse"]
    assert (bounds(norm, 3), bounds(shape, 3)) == ((-0.011, 0.097), (-0.172, -0.026))
    dynamics = "nap2_plus: dynamics alone (pca encoder)"
    return [
        *(s.tau(PCA, 160, 1), s.tau(PCA, 160), gain, *gains, norm.interval.value),
        *(ablated("Norm only (2ch)"), ablated("All 12 features (default)")),
        *(s.tau(f"{PCA[:-1]}, {family} alone)", 160) for family in ("general", "distribution")),
        *(-shape.interval.value, s.tau("parameters", batches=0), static, s.tau(PCA, 160), paired.value),
        *(ablated(name, "34", "cifar10") for name in ("Static (per- k MLP)", "Ordered (default)")),
        *(s.tau("lcsvr", 160), s.tau("early_stopping"), s.tau(dynamics, 50), s.tau(PCA, 50)),
        *(s.tau("nap2_plus: curve alone", 160), -curve.value),
    ]


def after_release() -> list[float]:
    s, alone, both = Section("7-after-release"), "nb201-cifar10", "nb201-cifar10-tiny"
    compared = {one.method: one for one in read_differences(s.folder / DIFFERENCES, 131)}
    size, graph = compared["parameters"].interval, compared["graph regression"].interval
    assert [round(number, 3) for number in (-size.high, -size.low)] == [0.013, 0.112]
    assert [round(number, 3) for number in (graph.low, graph.high)] == [0.036, 0.145]
    assert {one.verdict for name, one in compared.items() if name not in ("graph regression", PCA)} == {"worse"}
    assert (compared[PCA].verdict, bounds(compared[PCA], 3)) == ("none", (-0.048, 0.02))
    own, union = s.tau(PCA, 131, source=alone), s.tau(PCA, 131, source=both)
    pool = section_rows(DOCS / "results/2-pool")["candidates-172"]
    asked = ("kendall_tau", PCA, None)
    (before,) = {row.value for row in pool if (row.metric, row.method, row.trial) == asked}
    assert own > before
    return [
        *(own, before, s.tau("parameters", batches=0), -size.value),
        *(s.tau("graph regression", 131, 0), graph.value, union, union - own),
    ]


def after_release_16() -> list[float]:
    s = Section("8-after-release-16")
    compared = {one.method: one for one in read_differences(s.folder / DIFFERENCES, 184)}
    size, graph = compared["parameters"].interval, compared["graph regression"].interval
    assert [compared[name].verdict for name in ("parameters", "graph regression")] == ["none", "better"]
    assert [round(number, 3) for number in (-size.high, -size.low)] == [-0.011, 0.247]
    assert [round(number, 3) for number in (graph.low, graph.high)] == [0.063, 0.297]
    assert all(s.holds_zero(name) for name in ("sotl", "early_stopping"))
    own, of_folds = s.tau(PCA, 184), Section("3-transfer").tau(PCA, 144, source="tinyimagenet16-120")
    assert (s.one(PCA, 184).row.low or 0) < of_folds < (s.one(PCA, 184).row.high or 0)
    return [
        *(own, of_folds, s.tau("parameters", batches=0), -size.value, s.tau("graph regression", 184, 0), graph.value),
        *(s.tau("sotl"), s.tau("early_stopping")),
    ]


def more_mini_batches() -> list[float]:
    s = Section("10-more-mini-batches")
    compared = {one.method: one for one in s.differences(254)}
    pfn, svr, graph = compared["lc_pfn"], compared["lcsvr"], compared["graph regression"]
    assert {name for name, one in compared.items() if one.verdict != "none"} == {"lc_pfn", "lcsvr"}
    own = [one for one in s.differences(254) if one.method == PCA]
    assert [(one.query_batches, one.against_batches, one.verdict, *bounds(one, 3)) for one in own] == [
        (100, 100, "better", 0.055, 0.518),
        (500, 500, "better", 0.013, 0.51),
        (500, 100, "none", -0.166, 0.091),
    ]
    assert [bounds(one, 3) for one in (pfn, svr)] == [(-0.856, -0.028), (-0.615, -0.097)]
    assert bounds(graph, 3) == (-0.056, 0.478)
    curve = ("sotl", "last_losses", "early_stopping", "lce", "lc_pfn")
    assert all(s.holds_zero(name, batches=500) for name in curve)
    early, late = (s.tau(PCA, 254, batches) for batches in (100, 500))
    whole_early, whole_late = (s.tau(PCA, 13, batches) for batches in (100, 500))
    readings = [s.tau(f"nap2 (pca encoder, {name})", 13, 500) for name in ("shuffled", "static", "mean pool")]
    assert {one.verdict for one in s.differences(13) if one.method.startswith("nap2 (pca encoder,")} == {"none"}
    paper = [
        one.mean
        for k in (1, 5)
        for one in PUBLISHED
        if (one.condition, one.snapshots) == ("Ordered (default)", k)
        and (one.table, one.target, one.metric) == ("34", "imagenet16-120", "kendall_tau")
    ]
    return [
        *(early, late, whole_early, whole_late, early - whole_early, late - whole_late, late - early, *paper),
        *(s.tau(name, batches=500) for name in curve),
        *(-pfn.interval.value, -svr.interval.value, s.tau("parameters", batches=0)),
        *(s.tau("graph regression", 254, 0), graph.interval.value, whole_late, *readings),
    ]


def adamw() -> list[float]:
    s, own, tiny = Section("11-adamw"), "cifar10/nasbench201", "tinyimagenet16-120/nasbench201"
    weights, gradients = (f"{PCA[:-1]}, {modality} alone)" for modality in ("weights", "gradients"))

    def to_sgd(size: int, source: str, method: str = PCA) -> Difference:
        return s.paired(size, method, method, f"{source}, candidates under sgd")

    def both(size: int, source: str, method: str = PCA) -> tuple[float, float]:
        tau = s.tau(method, size, source=source)
        return tau, tau - to_sgd(size, source, method).interval.value

    fits = ((196, tiny), (240, own), (184, tiny))
    moved = [to_sgd(*fit) for fit in fits]
    shown = [(-0.084, 0.094), (-0.081, 0.065), (-0.134, 0.048)]
    assert [bounds(one, 3) for one in moved] == shown
    everywhere = [one for size in (50, 100, 184, 196, 240) for one in s.differences(size) if one.method == one.against]
    assert {one.verdict for one in everywhere if one.method.startswith("nap2")} == {"none"}
    size, graph = (s.paired(196, name, PCA, tiny) for name in ("parameters", "graph regression"))
    assert (size.verdict, graph.verdict, bounds(graph, 3)) == ("none", "better", (0.135, 0.403))
    alone = s.paired(240, gradients, PCA, own)
    assert (alone.verdict, bounds(alone, 3)) == ("worse", (-0.172, -0.016))
    assert s.paired(196, gradients, PCA, tiny).verdict == "none"
    assert all(s.holds_zero(name) for name in ("sotl", "early_stopping"))
    ratios = re.search(r"variance \| (.*) \| (.*) \|", (s.folder / "shift.md").read_text())
    assert ratios
    assert ratios.groups() == ("1.08 [0.97, 1.10]", "1.04 [0.48, 3.27]")
    table = {p.condition or p.method: p.mean for p in PUBLISHED if (p.table, p.target) == ("41", "cifar100/adamw")}
    return [
        table["SGD ranking as predictor of AdamW ranking"],
        *(number for fit, one in zip(fits, moved, strict=True) for number in (*both(*fit), one.interval.value)),
        *(*both(196, tiny, weights), *both(240, own, weights), *both(196, tiny, gradients), *both(240, own, gradients)),
        *(table["both"], table["gradient-only"], -alone.interval.value, s.tau("parameters", batches=0)),
        *(s.tau("graph regression", 196, 0), graph.interval.value, s.tau("sotl"), s.tau("early_stopping")),
    ]


def another_space() -> list[float]:
    s, own, tiny = Section("12-another-space"), "nasbench201/cifar10", "nasbench201/tinyimagenet16-120"
    fits = ((240, own), (196, tiny), (304, own))
    for size, source in fits:
        assert {s.paired(size, name, PCA, source).verdict for name in ("parameters", "sotl")} == {"none"}
    losses, best = ([s.paired(size, name, PCA, source) for size, source in fits] for name in ("last_losses", "az_nas"))
    assert [one.verdict for one in losses] == ["better", "better", "none"]
    assert {one.verdict for one in best} == {"better"}
    tried = [one.method for one in s.differences(240) if one.method in (*PROXIES, *POOL_SCORES) and one.against == PCA]
    widened = NormalDist().inv_cdf(1 - 0.025 / len(tried))
    assert f"best of {len(tried)} on" in s.prose
    assert [abs(one.interval.value) > widened * one.interval.standard_error for one in best] == [True, True, False]
    assert [bounds(one, 3) for one in losses[:2]] == [(0.024, 0.367), (0.012, 0.355)]
    assert [bounds(one, 3) for one in best] == [(0.126, 0.449), (0.130, 0.423), (0.037, 0.337)]
    taus = {one.row.method: one.mean for one in s.found if one.row.metric == "kendall_tau"}
    proxies = {name: taus[name] for name in (*PROXIES, *POOL_SCORES) if name in taus}
    assert max(proxies, key=lambda name: proxies[name] or -1.0) == "az_nas"
    asked = ("43", "kendall_tau", "NAP2", 1, "standard")
    (paper,) = [p.mean for p in PUBLISHED if (p.table, p.metric, p.method, p.snapshots, p.condition) == asked]
    graph = s.paired(60, "graph regression", PCA)
    assert (graph.verdict, bounds(graph, 3)) == ("better", (0.046, 0.368))
    encoders = [s.paired(240, one, other, own) for one, other in (("nap2", PCA), (FEW, PCA), (FEW, "nap2"))]
    assert {one.verdict for one in encoders} == {"none"}
    return [
        *(s.tau(PCA, size, source=source) for size, source in fits),
        *(s.tau("parameters", batches=0), s.tau("sotl"), s.tau("last_losses")),
        *(losses[0].interval.value, losses[1].interval.value, s.tau("az_nas", batches=0)),
        *(one.interval.value for one in best),
        *(s.tau("nap2", 240), s.tau(FEW, 240), *(-one.interval.value for one in encoders[:2])),
        *(s.tau("graph regression", 60, 0), s.tau(PCA, 60), graph.interval.value, paper),
    ]


def and_back() -> list[float]:
    s, own = Section("13-and-back"), "nasbench101/cifar10/stem_channels 16"
    assert {s.paired(60, name, PCA, own).verdict for name in EARLY_CURVE} == {"worse"}
    size = s.paired(60, "parameters", PCA, own)
    assert (size.verdict, bounds(size, 3)) == ("better", (0.116, 0.266))
    return [
        *(s.tau(PCA, 60), s.tau("last_losses"), s.tau("parameters", batches=0), size.interval.value),
        Section("1-cifar10").tau(PCA, 50),
    ]


CLAIMED = {
    "1-cifar10": cifar10,
    "2-pool": list,
    "3-transfer": transfer,
    "4-cifar100": cifar100,
    "5-union": union,
    "6-what-it-reads": what_it_reads,
    "7-after-release": after_release,
    "8-after-release-16": after_release_16,
    "9-encoders": encoders,
    "10-more-mini-batches": more_mini_batches,
    "11-adamw": adamw,
    "12-another-space": another_space,
    "13-and-back": and_back,
    "14-encoders-elsewhere": encoders_elsewhere,
    "15-encoders-own-labels": encoders_on_other_labels,
}


def test_every_section_is_checked():
    assert sorted(CLAIMED) == sorted(path.name for path in (DOCS / "results").iterdir() if path.is_dir())


@pytest.mark.parametrize("name", CLAIMED)
def test_decimals_in_the_prose_are_those_of_the_rows(name):
    prose = (DOCS / "results" / name / "intro.md").read_text()
    typed = re.findall(DECIMAL, re.sub(r"\[[^]]*\]", "", prose))
    values = CLAIMED[name]()
    assert len(typed) == len(values)
    shown = [f"{value:.{len(text.split('.')[1])}f}" for text, value in zip(typed, values, strict=True)]
    assert typed == [text.replace("0.", ".", 1).replace("-", "−") for text in shown]


@pytest.mark.parametrize("name", CLAIMED)
def test_the_prose_names_how_many_candidates_were_tested(name):
    prose = (DOCS / "results" / name / "intro.md").read_text()
    rows = [row for of_file in section_rows(DOCS / "results" / name).values() for row in of_file]
    largest = {max(row.num_test for row in of_file) for of_file in section_rows(DOCS / "results" / name).values()}
    assert rows
    assert all(re.search(rf"\b{count}\b", prose) for count in largest)


@pytest.mark.parametrize("name", CLAIMED)
def test_intervals_in_the_prose_are_those_of_the_differences(name):
    section = DOCS / "results" / name
    found = read_lines(section / DIFFERENCES) if (section / DIFFERENCES).exists() else []
    kept = [tuple(one["interval"][bound] or 0.0 for bound in ("low", "high")) for one in found]
    kept += [(-high, -low) for low, high in kept]
    strangers = []
    for typed in INTERVAL.findall((section / "intro.md").read_text()):
        digits = len(typed[0].split(".")[1])
        shown = tuple(float(bound.replace("−", "-")) for bound in typed)
        if not any(all(abs(a - b) <= 0.501 * 10**-digits for a, b in zip(one, shown, strict=True)) for one in kept):
            strangers.append(typed)
    assert len(strangers) == NOT_KEPT.get(name, 0), strangers


@pytest.mark.parametrize("page", ["README.md", "checkpoints/nb201-cifar10/card.md"])
def test_what_is_said_elsewhere_of_narrow_cells_is_of_the_latest_section(page):
    s = Section("12-another-space")
    (count,) = {one.row.num_test for one in s.found if one.row.method == PCA}
    assert re.findall(r"(\d+) narrow cells", (DOCS.parent / page).read_text()) == [str(count)]
    shown = {s.paired(304, name, PCA, "nasbench201/cifar10").verdict for name in ("parameters", *EARLY_CURVE)}
    assert "worse" not in shown  # "it is not shown to rank better than"
