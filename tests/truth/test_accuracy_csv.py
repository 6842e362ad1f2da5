import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from fakes_truth import ARCHS, check, published_csv

from nap2.errors import DataFileError, UnknownNameError
from nap2.truth import import_csv


@pytest.fixture
def load(tmp_path):
    def read(text, **options):
        (tmp_path / "own.csv").write_text(text)
        return import_csv(tmp_path / "own.csv", "fake", check, **options)

    return read


def own_csv(*values, header="arch_str,mine"):
    return "\n".join([header, *(f"{arch},{value}" for arch, value in zip(ARCHS, values, strict=False))]) + "\n"


def test_the_published_layout_is_read_as_per_cent_and_its_gaps_stay_gaps(load):
    table = load(published_csv())
    assert sorted(table.datasets) == ["cifar10", "imagenet16-120"]
    expected = [90 + i / 4 if i != 1 else np.nan for i in range(8)]
    np.testing.assert_allclose(table.accuracies("cifar10", ARCHS), np.array(expected) / 100)
    assert table.accuracy("ImageNet16-120", ARCHS[0]) == pytest.approx(0.008333)
    assert table.accuracy("cifar10", ARCHS[1]) is None


def test_the_other_published_columns_keep_their_own_units(load):
    table = load(published_csv())
    assert sorted(table.datasets["cifar10"].columns) == [
        "params",
        "test_accuracy",
        "train_time_s",
        "train_time_s_epoch12",
        "validation_accuracy",
        "validation_accuracy_run0",
        "validation_runs",
    ]
    assert table.column("cifar10", "params")[1] == 1001
    assert table.column("cifar10", "validation_accuracy_run0")[0] == pytest.approx(0.8025)
    assert table.column("cifar10", "validation_runs")[0] == 3


def test_a_gzipped_file_gives_the_same_table_and_names_its_origin(load, tmp_path):
    plain = load(published_csv())
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(published_csv().encode()))
    zipped = import_csv(tmp_path / "a.csv.gz", "fake", check)
    np.testing.assert_array_equal(zipped.accuracies("cifar10", ARCHS), plain.accuracies("cifar10", ARCHS))
    assert zipped.datasets["cifar10"].source.startswith("a.csv.gz sha256:")
    assert load(published_csv(), source="paper", licence="none").datasets["cifar10"].source == "paper"


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (["0.5", "1", "", "0"], None, [0.5, 1, np.nan, 0]),
        (["50", "100", "nan", "0"], None, [0.5, 1, np.nan, 0]),
        (["0.9", "50", "NA", "0"], "percent", [0.009, 0.5, np.nan, 0]),
        (["0.5", "0.25"], "percent", [0.005, 0.0025]),
    ],
)
def test_the_unit_is_read_off_the_values_or_declared(load, values, unit, expected):
    found = load(own_csv(*values), unit=unit).accuracies("mine", ARCHS[: len(expected)])
    np.testing.assert_allclose(found, expected)


def test_a_byte_order_mark_and_spaces_do_no_harm(load):
    table = load("\ufeffarch_str , mine\n" + f" {ARCHS[0]} , 0.5 \n\n")
    assert table.accuracy("mine", ARCHS[0]) == 0.5


def test_who_watches_is_handed_all_lines_and_passes_them_on_one_by_one(load):
    """To check all arch strings of NAS-Bench-101 takes a minute or more."""
    seen = []

    def watch(lines):
        for number, cells in lines:
            seen.append((number, len(lines)))
            yield number, cells

    assert load(own_csv("0.5", "0.25"), watch=watch).accuracy("mine", ARCHS[1]) == 0.25
    assert seen == [(2, 2), (3, 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no column arch_str; its header is empty"),
        ("arch_str;mine\n", r"separated by commas"),
        (f'arch_str,mine\n"{ARCHS[0]},1\n' + "a,0.5\n" * 30_000, r"is no CSV .* \(field larger .*\); close the quotes"),
        ("arch_str,mine\n", r"header and no architectures"),
        (f"arch_str\n{ARCHS[0]}\n", r"no column of accuracies"),
        (f"arch_str,a,a\n{ARCHS[0]},1,1\n", r"column a twice"),
        (f"arch_str,a,A\n{ARCHS[0]},1,1\n", r"two columns for one dataset"),
        (f"arch_str,a/b\n{ARCHS[0]},1\n", r"'a/b' cannot name a dataset"),
        (f"arch_str,mine\n{ARCHS[0]},0.5,7\n", r"line 2 has 3 fields; the header has 2"),
        ("arch_str,mine\n|p|x,0.5\n", r"line 2: '\|p\|x' is no architecture of the fake space"),
        (own_csv("0.5", "0.5") + f"{ARCHS[0]},0.5\n", r"line 4: .* was given in line 2 already"),
        (own_csv("0.5", "high"), r"line 3, column mine: 'high' is not a number; correct it, or remove the column"),
        (own_csv("50", "101"), r"line 3, column mine: 101 is not an accuracy from 0 to 100 \(1 such values\)"),
        (own_csv("0.5", "-0.1"), r"line 3, column mine: -0.1 is not an accuracy from 0 to 1 "),
        (own_csv("50", "inf"), r"inf is not an accuracy"),
        (
            own_csv("50", "0.5"),
            r"may hold fractions or per cent \(1 of 2 values are between 0 and 1\): set truth\.unit=percent",
        ),
        (own_csv("", ""), r"no accuracy at all"),
        (published_csv().replace("params_cifar10", "speed_cifar10"), r"'speed_cifar10' has no known meaning"),
        (published_csv().replace("params_cifar10", "params_svhn"), r"columns of svhn but no test accuracies"),
    ],
)
def test_what_cannot_be_read_is_refused_by_line_and_column(load, text, message):
    with pytest.raises(DataFileError, match=message):
        load(text)


def test_lines_that_a_spreadsheet_left_empty_are_no_architectures(load):
    table = load(own_csv("50", "60").replace("\n", "\n,\n", 1) + " , \n,\n")
    assert (table.arch_strs, table.accuracy("mine", ARCHS[1])) == (ARCHS[:2], 0.6)


def test_fractions_under_published_names_must_be_declared(load):
    text = f"arch_str,test_acc_mine\n{ARCHS[0]},0.5\n"
    with pytest.raises(DataFileError, match=r"set truth\.unit=percent or fraction, and remove columns"):
        load(text)
    assert load(text, unit="fraction").accuracy("mine", ARCHS[0]) == 0.5


def test_columns_of_different_units_are_not_guessed_at(load):
    text = f"arch_str,a,b\n{ARCHS[0]},0.5,50\n{ARCHS[1]},0.4,40\n"
    with pytest.raises(DataFileError, match="the column a may hold fractions or per cent"):
        load(text)


def test_an_unknown_unit_and_an_unreadable_file_are_refused(load, tmp_path):
    with pytest.raises(UnknownNameError, match="unit of accuracy is called 'pct'"):
        load(own_csv("1"), unit="pct")
    with pytest.raises(DataFileError, match=r"There is no accuracy file .*; correct truth\.source"):
        import_csv(tmp_path / "none.csv", "fake", check)
    (tmp_path / "bytes.csv").write_bytes(b"arch_str,a\n\xff\xfe")
    with pytest.raises(DataFileError, match="not UTF-8"):
        import_csv(tmp_path / "bytes.csv", "fake", check)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(published_csv().encode())[:-20])
    with pytest.raises(DataFileError, match="cannot be read"):
        import_csv(tmp_path / "cut.csv.gz", "fake", check)


@pytest.mark.data
@pytest.mark.slow
def test_the_whole_published_table_is_imported(tmp_path):
    folder = os.environ.get("NAP2_BENCHMARKS")
    if not folder:
        pytest.skip("NAP2_BENCHMARKS does not name the folder of published tables")
    table = import_csv(Path(folder) / "nb201_accuracy.csv.gz", "nasbench201", lambda arch_str: None)
    assert len(table.arch_strs) == 15625
    assert sorted(table.datasets) == ["cifar10", "cifar100", "imagenet16-120"]
    assert {len(table.known(dataset)) for dataset in table.datasets} == {14625}
    assert np.nanmax(table.column("cifar10", "test_accuracy")) == pytest.approx(0.9437333333)
