"""What stage=rank says of a predictor before it ranks, and what it keeps of an interrupted call."""

from pathlib import Path

import pytest
from fakes_predictor import random_predictor

import train
from nap2.errors import DataFileError
from nap2.inference import Predictor, Ranking
from nap2.stages.command.compose import compose_config
from nap2.stages.rank_stage import remark_on_space
from nap2.stages.ranking.kept import KeptRankings, best_first


@pytest.mark.parametrize(
    ("spec", "remark"),
    [
        ({"setting": {"space": "nasbench201"}}, "fitted on nasbench201 cells: on nasbench101 its figures are ranks"),
        ({"setting": {"space": "nasbench101"}}, ""),
        ({}, ""),
    ],
)
def test_a_predictor_of_another_search_space_is_remarked_on(spec, remark) -> None:
    config = compose_config(["stage=rank", "experiment=digits", "space=nasbench101"])[1]
    found = remark_on_space(config, spec)
    assert remark in found
    assert bool(remark) == bool(found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "No predictor at runs/digits/functional/checkpoint; run stage=predictor first, or name one"),
        (["split.folds=3"], "each fold has its own, that of all is fitted with split.folds=0 split.test_size=0; run"),
    ],
)
def test_without_a_predictor_it_says_which_to_fit(
    asked, message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(["stage=rank", "experiment=digits", *asked]) == 2
    assert message in capsys.readouterr().err


def test_a_predictor_is_looked_for_where_it_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random_predictor(every=1, num_snapshots=1).save("mine/tiny", "")
    call = ["stage=rank", "experiment=digits", "paths.checkpoints=mine", "rank.modality=weights"]
    assert train.main([*call, "rank.checkpoint=tiny"]) == 2
    assert "No modality of this predictor is called 'weights'" in capsys.readouterr().err  # so it was found
    assert train.main([*call, "rank.checkpoint=other"]) == 2
    assert "is called 'other'" in capsys.readouterr().err


def test_an_interrupted_ranking_goes_on_and_a_second_one_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random_predictor(every=1, num_snapshots=1, num_heads=2).save("tiny", "")
    cells = [f"|{name}~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|" for name in ("none", "nor_conv_1x1")]
    sizes = ["space.skeleton.stem_channels=2", "space.skeleton.cells_per_stage=1", "rank.checkpoint=./tiny"]
    call = ["stage=rank", "experiment=digits", *sizes, f"rank.arch_strs=['{cells[0]}','{cells[1]}']"]
    trained: list[str] = []
    rank = Predictor.rank

    def rank_until(self, models, *args, **options):
        if len(trained) == most:
            raise KeyboardInterrupt
        trained.extend(models)
        return rank(self, models, *args, **options)

    monkeypatch.setattr(Predictor, "rank", rank_until)
    most = 1
    assert train.main(call) == 130
    most = 2
    assert train.main(call) == 0
    assert trained == cells
    table = Path("runs/digits/ranking.csv").read_bytes()
    assert train.main(call) == 0
    assert Path("runs/digits/ranking.csv").read_bytes() == table
    assert "2 of 2 networks were ranked before" in capsys.readouterr().out
    assert train.main([*call, "recipe.lr=0.2"]) == 130  # another recipe is another ranking


def test_rankings_one_by_one_are_in_order_and_failures_are_not_kept(tmp_path: Path) -> None:
    kept = KeptRankings(tmp_path, {"query_batches": 1})
    low, high = (Ranking(1, name, accuracy, None, 1, 0.5, None, ("a",)) for name, accuracy in (("b", 0.2), ("c", 0.4)))
    torn = Ranking(1, "a", None, "it is torn", 0, 0.5)
    for place in (torn, low, high):
        kept.add(place)
    assert kept.read() == {"b": low, "c": high}
    assert [(place.rank, place.name) for place in best_first([torn, low, high])] == [(1, "c"), (2, "b"), (3, "a")]
    assert KeptRankings(tmp_path, {"query_batches": 2}).read() == {}
    kept.path.write_text("[]\n")
    with pytest.raises(DataFileError, match=r"is damaged .* delete it to rank again"):
        kept.read()


def test_a_modality_that_the_predictor_has_not_is_refused_before_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random_predictor(every=1, num_snapshots=1).save("tiny", "")
    call = ["stage=rank", "dataset=cifar10", "paths.data=nowhere", "rank.checkpoint=./tiny", "rank.modality=gradients"]
    assert train.main(call) == 2
    assert "No modality of this predictor is called 'gradients'. Known: both." in capsys.readouterr().err
