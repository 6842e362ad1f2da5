import dataclasses

from fakes_evaluation import EXAM, NAP2, PARAMS, WEAK, aggregates, predictions

from nap2.evaluation.judging.differences import differences
from nap2.evaluation.pages.card import NO_MATCH, CardFacts, card, index_table
from nap2.evaluation.pages.further_test import FurtherTest
from nap2.evaluation.records.published import PublishedFigure

SPEC = {
    "kind": "predictor",
    "every": 100,
    "num_snapshots": 2,
    "train_size": 700,
    "labels": "truth",
    "fitted_on": [f"cell {n}" for n in range(60)],
    "num_test": 4,
    "cae_pool": "pool/functional",
    "stand_in_for": None,
    "commit": "abc1234",
    "versions": {"torch": "2.13.0"},
    "setting": {
        "space": "nasbench201",
        "dataset": "cifar10",
        "skeleton": {"num_classes": 10},
        "recipe": {"name": "nasbench201", "optimizer": "sgd", "batch_size": 256, "lr": 0.1, "seed": 4},
    },
}
FACTS = CardFacts("some-name", 80, ("nap2",), "Ten trials.", "3 heads, 1 of gradients alone")


def test_the_card_holds_data_split_figures_and_limits_and_no_accuracy_of_a_candidate():
    compared = differences([NAP2, WEAK], NAP2, EXAM, rounds=50)
    text = card({**SPEC, "num_val": 8, "seeds": [7]}, FACTS, aggregates(NAP2, WEAK), compared)
    for needed in (
        "- seeds: 4 of the candidates' training; those of the heads are `seeds` in `spec.json`",
        "- heads: 3 heads, 1 of gradients alone",
        "some-name",
        "took part: 64 (with snapshots, when this was written: 80)",
        "pool/functional",
        "Ten trials.",
        "700 of these each head was fitted on, 8 more chose when",
        "Kendall τ by mini-batches seen",
        "Spearman ρ by mini-batches seen",
        "Paired differences in Kendall τ against nap2",
        "## Limits",
        "Apache-2.0, as the code.",
    ):
        assert needed in text
    assert not any(f"{accuracy:.4f}" in text for accuracy in EXAM.truth)
    order = ("## Limits", "## How well", "Kendall τ by", "<details>", "Spearman ρ by", "Paired diff", "</details>")
    places = [text.index(part) for part in order]
    assert places == sorted(places)  # what it cannot do stands first, and long tables are folded


def test_the_card_says_what_turned_maps_into_embeddings():
    pca = {**SPEC, "encoders": {"weights": {"kind": "pca"}, "gradients": {"kind": "pca"}}}
    shown = [card(spec, FACTS, aggregates(NAP2), ()) for spec in (SPEC, pca)]
    few = card({**pca, "directions": 8}, FACTS, aggregates(NAP2), ())
    assert "the first 8 of each modality's principal components instead of the paper's autoencoders, fitted" in few
    assert "- encoders: autoencoders, fitted on pool/functional" in shown[0]
    assert "- encoders: principal components instead of the paper's autoencoders, fitted on pool/functional" in shown[1]


def test_a_stand_in_is_named_and_published_figures_stand_beside():
    spec = {**SPEC, "stand_in_for": "imagenet16-120"}
    figure = PublishedFigure("4", "kendall_tau", "NAP2", "cifar10", "cifar10", 0.757, None, 2, None, None)
    text = card(spec, FACTS, aggregates(NAP2), (), [figure])
    assert "a stand-in for imagenet16-120" in text
    assert "0.757" in text
    assert NO_MATCH in card(spec, FACTS, aggregates(NAP2), (), [dataclasses.replace(figure, snapshots=9)])


def test_the_index_lists_every_predictor_by_name():
    lines = index_table({"b": SPEC, "a": {**SPEC, "num_snapshots": 1, "revision": 3}}).splitlines()
    assert lines[2].startswith("| [a](a/card.md) | nasbench201 | cifar10 | 100 | 700 | 3 |")
    assert lines[3].startswith("| [b](b/card.md) | nasbench201 | cifar10 | 100 to 200 | 700 | 1 |")


def test_the_extension_is_judged_with_every_encoder():
    own = predictions("nap2 (pca encoder)", [0.2, 0.1], encoder="pca")
    extension = predictions("nap2_plus (pca encoder)", [0.2, 0.1], encoder="pca")
    other = predictions("nap2_plus", [0.2, 0.1], encoder="cae")
    facts = dataclasses.replace(FACTS, methods=(own.method, extension.method))
    text = card(SPEC, facts, aggregates(own, extension, other, WEAK))
    assert "nap2_plus (pca encoder), τ" in text
    assert "nap2 (pca encoder), τ" in text
    assert "nap2_plus, τ" not in text


def test_fewer_labels_and_other_datasets_have_verdicts_and_tables_of_their_own():
    few = predictions("nap2", [0.9, 0.8], source="cifar10", train_size=50)
    graph = predictions("graph", [0.01], trials=1, query_batches=(0,), snapshots=(0,))
    exam = dataclasses.replace(EXAM, target="imagenet16-120", stand_in=True)
    further = (
        FurtherTest("With 50 labels", "Fitted on fewer.", aggregates(few, graph), differences([graph], few, EXAM)),
        FurtherTest("On imagenet16-120†", "As they are.", aggregates(NAP2, PARAMS, exam=exam)),
    )
    text = card(SPEC, FACTS, aggregates(NAP2, PARAMS), (), (), further)
    main, fewer, elsewhere = text.split("\n### ")
    assert fewer.startswith("With 50 labels\n\nFitted on fewer.\n\nAfter 200 mini-batches the best reference is graph")
    assert "nap2 (cifar10, 50)" in fewer
    assert "it does not earn its keep" in fewer
    assert "nap2 (cifar10, 50)" not in main + elsewhere
    assert elsewhere.startswith("On imagenet16-120†\n\nAs they are.")
    assert "whether that is more than chance was not tested" in elsewhere
    assert "With fewer labels" not in card(SPEC, FACTS, aggregates(NAP2))


def test_a_union_is_named_with_its_counts_and_its_scale():
    text = card({**SPEC, "union": {"svhn": 40}}, FACTS, aggregates(NAP2))
    assert "trained on cifar10 and svhn" in text
    assert "svhn (40 labelled candidates)" in text
    facts = dataclasses.replace(FACTS, stand_ins={"svhn": "digits"})
    text = card({**SPEC, "union": {"svhn": 40}}, facts, aggregates(NAP2))
    assert "svhn (40 labelled candidates, a stand-in for digits, whose accuracies it learns)" in text
    assert "cifar10, on whose scale every prediction is" in text
    assert "learned beside" not in card({**SPEC, "union": {}}, FACTS, aggregates(NAP2))
