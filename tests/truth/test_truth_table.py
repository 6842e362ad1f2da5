import h5py
import numpy as np
import pytest
from fakes_truth import ARCHS, class_of

from nap2.errors import DataFileError, UnknownNameError
from nap2.truth import DatasetTruth, TruthTable

VALUES = np.array([0.9, np.nan, 0.7, 0.6, np.nan, np.nan, 0.5, 0.4])


def table(dataset="cifar10", values=VALUES, arch_strs=ARCHS):
    truth = DatasetTruth({"test_accuracy": values, "params": np.arange(float(len(values)))}, "a paper", "research only")
    return TruthTable("fake", arch_strs, {dataset: truth})


def test_a_saved_table_comes_back_with_every_figure_and_its_origin(tmp_path):
    table().save(tmp_path / "deep" / "fake.h5")
    found = TruthTable.open(tmp_path / "deep" / "fake.h5")
    assert (found.space, found.arch_strs) == ("fake", ARCHS)
    assert found.datasets["cifar10"].source == "a paper"
    assert found.datasets["cifar10"].licence == "research only"
    np.testing.assert_array_equal(found.column("cifar10", "test_accuracy"), VALUES)
    np.testing.assert_array_equal(found.column("cifar10", "params", [ARCHS[3], ARCHS[0]]), [3, 0])
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["fake.h5"]


def test_accuracies_follow_the_arch_strings_asked_for_in_any_case_of_the_dataset():
    np.testing.assert_array_equal(table().accuracies("CIFAR10", ARCHS[::-1]), VALUES[::-1])
    assert table().accuracy("cifar10", ARCHS[2]) == 0.7


def test_unknown_stays_unknown():
    assert table().accuracy("cifar10", ARCHS[1]) is None
    assert table().accuracy("cifar10", "|not in the table|") is None
    assert np.isnan(table().accuracies("cifar10", ["|not in the table|"])).all()
    assert table().known("cifar10") == (ARCHS[0], ARCHS[2], ARCHS[3], ARCHS[6], ARCHS[7])


def test_twins_answer_only_when_asked_and_never_for_a_known_accuracy():
    found = table().accuracies("cifar10", ARCHS, twins_by=class_of)
    np.testing.assert_allclose(found, [0.9, 0.9, 0.7, 0.6, np.nan, np.nan, 0.5, 0.4])
    assert table().accuracy("cifar10", "|q|z|", twins_by=class_of) == pytest.approx(0.65)  # the mean of two twins


def test_lookups_leave_the_table_as_it_was():
    original = table()
    original.column("cifar10", "test_accuracy")[:] = 0
    original.accuracies("cifar10", ARCHS)[:] = 0
    np.testing.assert_array_equal(original.column("cifar10", "test_accuracy"), VALUES)


def test_a_second_dataset_joins_and_its_new_architectures_are_unknown_on_the_first():
    other = table("svhn", np.array([0.3, 0.2]), ("|new|", ARCHS[0]))
    merged = table().merged(other)
    assert merged.accuracy("svhn", ARCHS[0]) == 0.2
    assert merged.accuracy("svhn", ARCHS[2]) is None
    assert merged.accuracy("cifar10", "|new|") is None
    assert merged.accuracy("cifar10", ARCHS[2]) == 0.7


def test_a_dataset_is_replaced_only_when_asked():
    other = table(values=VALUES / 2)
    with pytest.raises(DataFileError, match=r"already has other figures of cifar10: truth\.replace=true"):
        table().merged(other)
    assert table().merged(other, replace=True).accuracy("cifar10", ARCHS[0]) == 0.45


def test_the_same_figures_merge_without_a_question():
    merged = table().merged(table())
    np.testing.assert_array_equal(merged.accuracies("cifar10", ARCHS), VALUES)
    assert merged.arch_strs == ARCHS


def test_figures_of_one_dataset_from_two_files_are_joined():
    first, second = np.where(np.arange(8) < 4, VALUES, np.nan), np.where(np.arange(8) >= 3, VALUES, np.nan)
    merged = table(values=first).merged(table(values=second))
    np.testing.assert_array_equal(merged.accuracies("cifar10", ARCHS), VALUES)
    only_accuracies = TruthTable(
        "fake", ("|new|",), {"cifar10": DatasetTruth({"test_accuracy": np.array([0.1])}, "me")}
    )
    merged = table().merged(only_accuracies)
    assert (merged.accuracy("cifar10", "|new|"), merged.accuracy("cifar10", ARCHS[0])) == (0.1, 0.9)
    assert np.isnan(merged.column("cifar10", "params", ["|new|"])).all()
    assert (merged.datasets["cifar10"].source, merged.datasets["cifar10"].licence) == ("a paper; me", "research only")


def test_replacing_a_dataset_keeps_nothing_of_it():
    other = table(values=VALUES[:3] / 2, arch_strs=ARCHS[:3])
    assert table().merged(other, replace=True).known("cifar10") == (ARCHS[0], ARCHS[2])


def test_tables_of_two_spaces_do_not_mix():
    other = TruthTable("other", ARCHS, table("svhn").datasets)
    with pytest.raises(DataFileError, match="of fake cannot take in one of other"):
        table().merged(other)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        table().accuracy("cifar-10", ARCHS[0])
    with pytest.raises(UnknownNameError, match="Known: params, test_accuracy"):
        table().column("cifar10", "flops")


def test_a_missing_a_foreign_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(DataFileError, match=r"no truth table at .*stage=truth"):
        TruthTable.open(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("arch_str,cifar10\n")
    with pytest.raises(DataFileError, match="not a readable truth table"):
        TruthTable.open(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(DataFileError, match="found format None"):
        TruthTable.open(tmp_path / "other.h5")


def test_a_table_of_a_newer_version_is_refused(tmp_path):
    table().save(tmp_path / "fake.h5")
    with h5py.File(tmp_path / "fake.h5", "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(DataFileError, match="not a truth table of version 1"):
        TruthTable.open(tmp_path / "fake.h5")


@pytest.mark.parametrize("dataset", ["arch_str", "datasets/cifar10/test_accuracy"])
def test_a_flipped_byte_is_noticed(tmp_path, dataset):
    path = tmp_path / "fake.h5"
    random = np.random.default_rng(0)
    names = tuple(map(str, random.permutation(100000)[:4000]))
    table(values=random.random(4000), arch_strs=names).save(path)
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="not a readable truth table"):
        TruthTable.open(path)


def test_a_failed_save_leaves_the_old_table(tmp_path, monkeypatch):
    table().save(tmp_path / "fake.h5")
    monkeypatch.setattr(TruthTable, "_write", lambda self, file: file["nothing"])
    with pytest.raises(KeyError):
        table("svhn").save(tmp_path / "fake.h5")
    assert TruthTable.open(tmp_path / "fake.h5").accuracy("cifar10", ARCHS[0]) == 0.9
    assert len(list(tmp_path.iterdir())) == 1
