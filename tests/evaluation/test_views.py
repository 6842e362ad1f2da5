import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes_evaluation import EXAM, NAP2, PARAMS, TRUTH, WEAK, aggregates, predictions
from select_rows import select

from nap2.errors import DataFileError
from nap2.evaluation.judging.differences import differences
from nap2.evaluation.judging.exam import Exam
from nap2.evaluation.judging.metrics import METRICS, TAU
from nap2.evaluation.pages.beside_published import AMONG_MORE, CUT_AFTER_SHUFFLING, OWN_LC_PFN, published_table
from nap2.evaluation.pages.views import aggregates_csv, budget_table, cost_table, difference_table
from nap2.evaluation.records.protocols import result_rows
from nap2.evaluation.records.published import PublishedFigure, load_published, matching

OTHERWISE = "a benchmark's are of networks trained otherwise"


def test_the_budget_table_has_a_row_per_method_best_first_and_a_dash_for_what_was_not_measured():
    table = budget_table(aggregates(WEAK, NAP2, PARAMS), another_seed=0.95)
    assert table.header == ("method", "0", "100", "200")
    assert [row[0] for row in table.rows] == ["nap2 (cifar10, 700)", "params", "early_stopping"]
    assert table.rows[0][1] == table.rows[1][2] == "–"
    assert table.rows[0][2].count("±") == 1
    assert "±" not in table.rows[2][2]  # one trial has no deviation
    assert (0, 3) in table.bold
    assert "Chance: 0; the same networks under another seed: 0.950." in table.notes
    assert table.title == "Kendall τ by mini-batches seen, nasbench201/cifar10, functional split"


def test_many_budgets_are_thinned_to_those_of_the_paper():
    table = budget_table(aggregates(predictions("nap2", [0.3] * 23), metrics=(TAU,)))
    assert table.header[1:] == ("100", "200", "300", "700", "1100", "1700", "2300")


def test_stand_ins_measured_labels_and_failures_are_said_below_the_table():
    failing = predictions("zico", [0.5])
    failing.values[:, :, :3] = np.nan
    exam = Exam(space="s", target="svhn", truth=TRUTH, label="measured", stand_in=True)
    table = budget_table(aggregates(failing, exam=exam))
    assert table.rows[0][0] == "zico †"
    assert any("stand-in" in note for note in table.notes)
    assert "Candidates without a score: zico 3." in table.notes
    assert any("measured here" in note for note in table.notes)


@pytest.mark.parametrize(
    ("space", "recipe", "label", "is_said"),
    [
        ("nasbench201", "nasbench201_adamw", "imported", True),
        ("nasbench201", "nasbench201, batch_size 64", "imported", True),
        ("nasbench101", "nasbench201", "imported", True),
        ("nasbench201", "nasbench201_adamw", "measured", False),
        ("nasbench201", "nasbench201", "imported", False),
        ("nasbench201", "", "imported", False),
    ],
)
def test_accuracies_of_another_training_are_said_below_the_table(space, recipe, label, is_said):
    exam = Exam(space=space, target="cifar10", truth=TRUTH, label=label, recipe=recipe)
    notes = budget_table(aggregates(predictions("nap2", [0.1]), exam=exam)).notes
    said = [note for note in notes if "judged by imported accuracies" in note]
    assert said == ([f"Trained with {recipe}, judged by imported accuracies: {OTHERWISE}."] if is_said else [])
    assert not any("Trained with" in note for note in budget_table(aggregates(PARAMS, exam=exam)).notes)  # none was


def test_undefined_figures_are_called_so():
    constant = predictions("flat", [0.1])
    constant.values[:] = 1.0
    assert budget_table(aggregates(constant)).rows[0][1] == "undefined"


def unscored(method: str, note: str):
    nobody = predictions(method, [0.1, 0.1], trials=1, note=note)
    nobody.values[:] = np.nan
    return nobody


def test_methods_that_could_score_nobody_are_one_line_below_the_table_and_no_row():
    late = predictions("late", [0.3, 0.3], trials=1, note="needs 2 snapshots")
    late.values[:, 0] = np.nan
    methods = NAP2, late, unscored("lce", "needs 5 snapshots"), unscored("other", "needs 5 snapshots")
    found = aggregates(*methods)
    table = budget_table(found)
    assert [row[0] for row in table.rows] == ["nap2 (cifar10, 700)", "late"]
    assert table.rows[1][1] == "–"  # nobody was scored then
    assert [note for note in table.notes if "lce" in note] == [
        "Not in the table: lce, other (needs 5 snapshots; undefined: no candidate has a score)."
    ]
    assert table.notes[0] == "Mean ± standard deviation over trials (1–3); 40 test candidates."
    assert not any("without a score" in note for note in table.notes)
    assert {one.mean for one in found if one.row.method == "lce"} == {None}  # the rows keep it
    difference = differences(methods[2:], NAP2, EXAM, rounds=20)
    assert [one.verdict for one in difference] == ["undefined"] * 2
    assert difference_table(difference).rows == ()


def test_trials_that_a_mean_leaves_out_are_said():
    partly = predictions("partly", [0.1])
    partly.values[1] = 1.0
    table = budget_table(aggregates(partly))
    assert "±" in table.rows[0][1]
    assert "Trials without a figure (all scores equal), which no mean counts: partly 1 of 3." in table.notes


def test_the_cost_table_shows_correlation_interval_seconds_and_failures():
    table = cost_table(aggregates(PARAMS, NAP2))
    columns = ("method", "Kendall τ", "s.e.", "Spearman ρ", "s.e.", "forwards", "s per candidate", "scored", "failed")
    assert table.header == columns
    row = next(row for row in table.rows if row[0] == "params")
    assert row[5:] == ("0", "0.001", "40", "0")
    assert row[1].endswith("]")
    assert float(row[2]) > 0


def test_the_difference_table_uses_the_word_none():
    twin = predictions("twin", [0.2, 0.1])
    found = differences([twin, WEAK], NAP2, EXAM, rounds=200)
    assert {row[0]: row[-1] for row in difference_table(found).rows} == {"twin": "none", "early_stopping": "worse"}


def test_the_difference_table_names_what_methods_were_fitted_on():
    union = predictions("nap2", [0.2, 0.1], source="cifar10+cifar100", train_size=700)
    table = difference_table(differences([union, WEAK], NAP2, EXAM, rounds=20))
    assert [row[0] for row in table.rows] == ["nap2 (cifar10+cifar100)", "early_stopping"]
    assert table.header == ("method", "batches", "difference", "95 % interval", "verdict")
    assert table.title == "Paired differences in Kendall τ against nap2 (cifar10) after 200 mini-batches"


def test_methods_held_against_several_say_against_which_row_by_row():
    found = [*differences([WEAK], NAP2, EXAM, rounds=20), *differences([NAP2], WEAK, EXAM, rounds=20)]
    table = difference_table(found)
    assert table.header[:4] == ("method", "against", "batches", "against at")
    assert [row[:2] for row in table.rows] == [
        ("early_stopping", "nap2 (cifar10)"),
        ("nap2 (cifar10)", "early_stopping"),
    ]
    assert table.title == "Paired differences in Kendall τ"


def test_the_csv_has_every_aggregate_in_full_precision():
    found = aggregates(NAP2)
    lines = list(csv.DictReader(io.StringIO(aggregates_csv(found))))
    assert len(lines) == 4
    assert float(lines[0]["mean"]) == found[0].mean
    assert lines[0]["train_size"] == "700"


SHIPPED = Path(__file__).resolve().parents[2] / "docs/published/nap2.csv"


def after(row, snapshots, **changes):
    return replace(row, snapshots=snapshots, query_batches=100 * snapshots, **changes)


@pytest.fixture
def published(tmp_path):
    base = {"metric": "kendall_tau", "target": "cifar10", "std": 0.01}
    nap2 = {**base, "method": "NAP2", "source": "cifar10"}
    rows = [
        {**nap2, "table": 1, "query_time_s": 9.0, "init_time_s": 2e6, "mean": 0.7},
        {**nap2, "table": 32, "snapshots": 2, "mean": 0.76, "condition": "Both (default)"},
        {**nap2, "table": 32, "snapshots": 2, "mean": 0.1, "condition": "Weights"},
        {**base, "table": 4, "method": "Early Stop (ACC.)", "source": None, "snapshots": 1, "mean": 0.43},
        {**base, "table": 4, "method": "Params", "source": None, "snapshots": 1, "mean": 0.5, "std": None},
        {**base, "table": 4, "method": "Params", "source": None, "snapshots": 2, "mean": 0.5, "std": None},
    ]
    (tmp_path / "published.json").write_text(json.dumps({"rows": rows}))
    return load_published(tmp_path / "published.json")


def test_published_figures_stand_beside_ours_of_the_same_setting(published):
    table = published_table(aggregates(NAP2, WEAK, PARAMS), published)
    found = [(row[0], row[3], row[6], row[8]) for row in table.rows]
    assert found == [
        ("nap2 (cifar10, 700)", "100", "0.700 ± 0.010", "Table 1, init 2e+06 s"),
        ("nap2 (cifar10, 700)", "200", "0.760 ± 0.010", "Table 32"),
        ("early_stopping", "100", "0.430 ± 0.010", "Table 4"),
        ("params", "0", "0.500", "Table 4"),
    ]


def test_our_parametric_extrapolation_stands_beside_both_names_of_the_paper_once_it_has_a_figure():
    shipped = load_published(SHIPPED)
    row = after(select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0], 7, method="lce", source="")
    for target, printed in (("cifar10", 0.54), ("cifar100", 0.41), ("imagenet16-120", 0.26)):
        assert [one.mean for one in matching(replace(row, target=target), shipped)] == [printed]
    assert published_table(aggregates(predictions("lce", [0.1], trials=1)), shipped).rows
    assert not published_table(aggregates(unscored("lce", "needs 5 snapshots")), shipped).rows


def test_a_network_of_our_own_beside_the_figures_of_published_weights_is_called_so():
    own = published_table(aggregates(predictions("lc_pfn", [0.1], trials=1)), load_published(SHIPPED))
    assert [row[8] for row in own.rows] == ["Table 4"]
    assert OWN_LC_PFN in own.notes
    assert OWN_LC_PFN not in published_table(aggregates(NAP2), load_published(SHIPPED)).notes


def test_a_recall_among_another_number_of_candidates_than_the_published_one_is_called_so():
    shipped, best = load_published(SHIPPED), METRICS["recall_top1_in_top-3"]
    few = published_table(aggregates(NAP2, metrics=(best,)), shipped)
    assert {row[8] for row in few.rows} == {"Table 24, 700 labels"}
    assert AMONG_MORE.format(len(TRUTH)) in few.notes
    as_many = [replace(one, row=replace(one.row, num_test=200)) for one in aggregates(NAP2, metrics=(best,))]
    tau = aggregates(NAP2, metrics=(TAU,))
    for table in (published_table(as_many, shipped), published_table(tau, shipped)):
        assert table.rows
        assert not any("recall" in note for note in table.notes)


def test_a_recall_is_among_the_candidates_without_a_score_too():
    best, part = METRICS["recall_top1_in_top-3"], replace(NAP2, values=NAP2.values.copy())
    part.values[:, :, :10] = np.nan
    found = aggregates(part, metrics=(best,))
    assert AMONG_MORE.format(len(TRUTH)) in published_table(found, load_published(SHIPPED)).notes
    assert f"Chance: {3 / len(TRUTH):.3g}." in budget_table(found, best.name).notes


def test_a_gap_is_marked_where_it_is_large_and_above_two_standard_errors():
    (exact,) = select(result_rows(NAP2, EXAM, [TAU], rounds=50), trial=None, query_batches=200)
    error = exact.standard_error
    base = PublishedFigure("1", "kendall_tau", "NAP2", "cifar10", "cifar10", exact.value, None, 2, None, None)
    for gap, marked in ((3 * error + 0.05, True), (0.04, False), (1.9 * error, False)):
        figure = replace(base, mean=exact.value + gap)
        (row,) = published_table(aggregates(NAP2, metrics=(TAU,)), [figure]).rows
        assert row[7].endswith(" *") == marked, gap


def test_a_modality_alone_stands_beside_the_ablation_of_the_paper():
    shipped = load_published(SHIPPED)
    row = select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0]
    for method, printed in (("nap2", 0.747), ("nap2 (weights alone)", 0.726), ("nap2 (gradients alone)", 0.735)):
        found = matching(after(row, 1, method=method), shipped)
        assert printed in {figure.mean for figure in found if figure.table == "32"}, method
    on_cifar100 = after(row, 23, source="cifar100", target="cifar100")
    for method, printed in (("nap2 (norm alone)", 0.816), ("nap2 (general+norm alone)", 0.803)):
        assert {figure.mean for figure in matching(replace(on_cifar100, method=method), shipped)} == {printed}
    assert not matching(after(row, 1, method="nap2 (pca encoder, weights alone)"), shipped)


def test_the_place_of_a_figure_names_its_paper():
    figure = PublishedFigure("2", "kendall_tau", "snip", None, "cifar10", 0.4, None, None, None, None, "Some paper")
    assert figure.place == "Some paper, Table 2"


def test_figures_of_another_dataset_metric_or_source_do_not_match(published):
    row = select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0]
    assert matching(row, published)
    for changes in ({"target": "cifar100"}, {"source": "cifar100"}, {"metric": "spearman_rho"}, {"query_batches": 700}):
        assert not matching(replace(row, **changes), published)


def test_figures_of_another_search_space_are_told_from_those_of_the_usual_one():
    row = select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0]
    usual = PublishedFigure("1", "kendall_tau", "NAP2", "cifar10", "cifar10", 0.7, None, row.snapshots, None, None)
    within = replace(usual, source="nb101/cifar10", target="nb101/cifar10", condition="standard")
    across = replace(usual, source="nb201/cifar10", target="nb101/cifar10")
    back = replace(usual, source="nb101/cifar10", target="nb201/cifar10")
    figures = [usual, within, across, back, replace(within, condition="controlled")]
    assert matching(row, figures) == [usual]
    other = replace(row, space="nasbench101")
    assert matching(other, figures) == [within]
    assert matching(replace(other, source="nasbench201/cifar10"), figures) == [across]
    assert matching(replace(row, source="nasbench101/cifar10"), figures) == [back]


def test_figures_of_another_recipe_are_told_from_those_of_the_usual_one():
    shipped = load_published(SHIPPED)
    row = select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0]
    on_sgd = after(row, 23, source="cifar100", target="cifar100", recipe="nasbench201")
    assert {"32", "41"} <= {figure.table for figure in matching(on_sgd, shipped)}
    assert not matching(replace(on_sgd, recipe="nasbench201_adamw"), shipped)
    across = replace(on_sgd, recipe="nasbench201_adamw", source="cifar100/nasbench201")
    for method, printed in (("nap2", -0.07), ("nap2 (gradients alone)", 0.665), ("nap2 (weights alone)", 0.562)):
        assert [one.mean for one in matching(replace(across, method=method), shipped)] == [printed]
    untrained = after(row, 0, method="snip", source="", target="cifar100", recipe="nasbench201_adamw")
    assert [figure.mean for figure in matching(untrained, shipped)] == [0.46]


def test_figures_of_another_budget_do_not_match_whatever_the_interval_between_snapshots(published):
    row = select(result_rows(WEAK, EXAM, [TAU], rounds=0), trial=0)[0]
    assert [figure.mean for figure in matching(replace(row, snapshots=1, query_batches=100), published)] == [0.43]
    assert [figure.mean for figure in matching(replace(row, snapshots=2, query_batches=100), published)] == [0.43]
    assert not matching(replace(row, snapshots=1, query_batches=1), published)


def test_a_recipe_that_the_paper_does_not_have_matches_no_figure_of_a_trained_network(published):
    trained = select(result_rows(WEAK, EXAM, [TAU], rounds=0), trial=0)[0]
    assert matching(replace(trained, recipe="nasbench201"), published)
    for recipe in ("digits", "mine", "nasbench201, epochs 3"):
        assert not matching(replace(trained, recipe=recipe), published)
    untrained = select(result_rows(PARAMS, EXAM, [TAU], rounds=0), trial=0)[0]
    assert matching(replace(untrained, recipe="mine"), published)


def test_networks_of_another_size_are_told_and_match_no_figure(published):
    row = select(result_rows(WEAK, EXAM, [TAU], rounds=0), trial=0)[0]
    assert matching(row, published)
    assert not matching(replace(row, skeleton="stem_channels 8"), published)
    smaller = replace(EXAM, skeleton="stem_channels 8")
    notes = budget_table(aggregates(WEAK, exam=smaller)).notes
    assert "The networks are not of the published size: stem_channels 8." in notes
    assert not any("published size" in note for note in budget_table(aggregates(WEAK)).notes)


def test_of_figures_for_several_train_sizes_those_of_our_own_stand_beside_ours():
    shipped = load_published(SHIPPED)
    row = after(select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0], 10)
    for size, tables in ((50, {("1", 50)}), (700, {("1", 700), ("32", 700)})):
        found = matching(replace(row, train_size=size), shipped)
        assert {(figure.table, figure.train_size) for figure in found} == tables
    everything = {("1", 50), ("1", 100), ("1", 300), ("1", 700), ("32", 700)}
    found = matching(replace(row, train_size=160), shipped)
    assert {(figure.table, figure.train_size) for figure in found} == everything
    assert "Table 1, init 1.8e+05 s, 50 labels" in {figure.place for figure in found}


def test_the_last_block_of_tables_1_to_3_is_that_of_700_labels():
    known = {(f.table, f.source, f.snapshots, f.condition, f.init_time_s): f for f in load_published(SHIPPED)}
    for table, dataset in (("1", "cifar10"), ("2", "cifar100"), ("3", "imagenet16-120")):
        by_time = [f for f in load_published(SHIPPED) if (f.table, f.method, f.snapshots) == (table, "NAP2", 10)]
        last = max(by_time, key=lambda figure: figure.init_time_s)
        ablated = known["32", dataset, 10, "Both (default)", None]
        assert (round(last.mean, 3), round(last.std, 3)) == (ablated.mean, ablated.std)


def test_other_readings_stand_beside_the_ablation_of_the_paper_and_what_differs_is_said():
    shipped = load_published(SHIPPED)
    row = select(result_rows(NAP2, EXAM, [TAU], rounds=0), trial=0)[0]
    for method, printed in (("static", 0.738), ("mean pool", 0.790), ("shuffled", 0.813)):
        count = {"static": 1, "mean pool": 3, "shuffled": 23}[method]
        found = matching(after(row, count, method=f"nap2 ({method})"), shipped)
        assert [figure.mean for figure in found] == [printed]
    shuffled = predictions("nap2 (shuffled)", [0.2], source="cifar10", train_size=700)
    assert CUT_AFTER_SHUFFLING in published_table(aggregates(shuffled), shipped).notes
    assert CUT_AFTER_SHUFFLING not in published_table(aggregates(NAP2), shipped).notes


def test_a_file_of_another_shape_is_refused_with_its_row(tmp_path):
    path = tmp_path / "published.json"
    with pytest.raises(DataFileError, match=r"No published figures at .*; correct report\.published"):
        load_published(path)
    path.write_text("[]")
    with pytest.raises(DataFileError, match='not a JSON object with a list "rows"'):
        load_published(path)
    path.write_text('{"rows": [{"table": 1}]}')
    with pytest.raises(DataFileError, match=r"row 1 is not a published figure \(KeyError: 'metric'\)"):
        load_published(path)


def test_a_csv_of_published_figures_reads_as_the_same_json(tmp_path):
    row = {"table": "1", "metric": "kendall_tau", "method": "NAP2", "source": None, "target": "cifar10"}
    row |= {"snapshots": None, "condition": None, "init_time_s": 1.8e5, "query_time_s": 54.0, "mean": 0.7, "std": None}
    (tmp_path / "a.json").write_text(json.dumps({"rows": [row]}))
    cells = ",".join("" if value is None else str(value) for value in row.values())
    (tmp_path / "a.csv").write_text(f"{','.join(row)}\n{cells}\n")
    assert load_published(tmp_path / "a.csv") == load_published(tmp_path / "a.json")
    assert load_published(tmp_path / "a.csv")[0].snapshots == 6
    (tmp_path / "b.csv").write_text("table,method\n1,NAP2\n")
    with pytest.raises(DataFileError, match="row 1 is not a published figure"):
        load_published(tmp_path / "b.csv")


def test_the_shipped_figures_of_the_paper_can_be_read_and_hold_its_headline():
    figures = load_published(SHIPPED)
    headline = {("34", 1): 0.747, ("34", 23): 0.821}  # App. H.2, Table 34, in-domain on CIFAR-10
    for (table, snapshots), tau in headline.items():
        (found,) = (
            f.mean
            for f in figures
            if (f.table, f.source, f.target, f.snapshots) == (table, "cifar10", "cifar10", snapshots)
            and f.condition == "Ordered (default)"
        )
        assert found == tau


def test_an_undefined_difference_is_no_number_and_no_tie():
    constant = replace(predictions("constant", [0.0, 0.0]), values=np.ones((3, 2, 40)))
    (found,) = differences([constant], NAP2, EXAM, rounds=20)
    assert difference_table([found]).rows[0][-3:] == ("–", "–", "undefined")


def test_a_difference_without_an_interval_is_a_number_alone():
    marks = np.ones((3, 2, 40))
    marks[:, :, EXAM.truth.argmin()] = 0.0
    (found,) = differences([replace(predictions("marks", [0.0, 0.0]), values=marks)], NAP2, EXAM)
    gap, interval, verdict = difference_table([found]).rows[0][-3:]
    assert (f"{found.interval.value:+.3f}", "–", "undefined") == (gap, interval, verdict)
