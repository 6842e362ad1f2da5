"""The published file of NAS-Bench-101: means over runs, and every kind of damage in one line."""

import base64
import json
import struct

import numpy as np
import pytest

from nap2.errors import ConfigError, DataFileError
from nap2.spaces import SPACES
from nap2.stages import truth_stage
from nap2.stages.command.compose import compose_config
from nap2.truth import TruthTable, import_tfrecord
from nap2.truth.model_metrics import fields, read_metrics
from nap2.truth.tfrecord import masked_checksum, records

SPACE = SPACES["nasbench101"]
GRAPHS = {
    "conv3x3~0|output~1": ("aa", "010001000", "input,conv3x3-bn-relu,output"),
    "maxpool3x3~0|output~0~1": ("bb", "011001000", "input,maxpool3x3,output"),
}


def bitwise_checksum(content: bytes) -> int:
    """CRC32C bit by bit, as its definition reads, rotated and shifted as the file format does."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def framed(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    ends = (struct.pack("<I", bitwise_checksum(part)) for part in (length, content))
    return length + next(ends) + content + next(ends)


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def message(test: float, validation: float, seconds: float, params: int) -> bytes:
    """Three evaluations, of which the last holds, in the wire format; the path is a field that no one reads."""
    found = b""
    for share in (0.0, 0.5, 1.0):
        values = (108 * share, seconds * share, 0.9 * share, validation * share, test * share)
        inner = b"".join(varint(number << 3 | 1) + struct.pack("<d", v) for number, v in enumerate(values, 1))
        inner += varint(6 << 3 | 2) + varint(3) + b"a/b"
        found += varint(1 << 3 | 2) + varint(len(inner)) + inner
    return found + varint(2 << 3) + varint(params) + varint(3 << 3 | 1) + struct.pack("<d", 2 * seconds)


def record(arch_str: str, epochs: int, *figures: float, params: int = 300) -> bytes:
    name, bits, operations = GRAPHS[arch_str]
    text = base64.b64encode(message(*figures, params)).decode()
    return framed(json.dumps([name, epochs, bits, operations, text]).encode())


def read(path, **options) -> TruthTable:
    return import_tfrecord(path, "nasbench101", SPACE.arch_str_of_graph, **options)


FIGURES = base64.b64encode(message(0.9, 0.8, 7.0, 300)).decode()


@pytest.fixture
def file(tmp_path):
    first, second = GRAPHS
    runs = [(0.90, 0.91, 10.0), (0.92, 0.93, 20.0), (0.94, 0.95, 30.0)]
    content = b"".join(record(first, 108, *run) for run in runs) + record(first, 4, 0.5, 0.6, 1.0)
    path = tmp_path / "nasbench_full.tfrecord"
    path.write_bytes(content + record(second, 108, 0.1, 0.2, 3.0, params=1_234_567))
    return path


@pytest.mark.parametrize("content", [b"", b"123456789", bytes(range(256))])
def test_checksums_are_those_of_the_definition(content) -> None:
    assert masked_checksum(content) == bitwise_checksum(content)


def test_a_table_holds_the_mean_over_runs_of_the_last_evaluation(file, tmp_path) -> None:
    read(file, licence="Apache-2.0").save(tmp_path / "truth.h5")
    table = TruthTable.open(tmp_path / "truth.h5")
    assert table.arch_strs == tuple(GRAPHS)
    expected = {
        "test_accuracy": [0.92, 0.1],
        "validation_accuracy": [0.93, 0.2],
        "train_time_s": [20.0, 3.0],
        "runs": [3, 1],
        "params": [300, 1_234_567],
        "test_accuracy_epoch4": [0.5, np.nan],
        "validation_accuracy_epoch4": [0.6, np.nan],
        "train_time_s_epoch4": [1.0, np.nan],
        "runs_epoch4": [1, np.nan],
    }
    assert set(table.datasets["cifar10"].columns) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(table.column("cifar10", name), values, rtol=1e-12)
    assert table.datasets["cifar10"].source == "nasbench_full.tfrecord"
    assert table.datasets["cifar10"].licence == "Apache-2.0"


def test_the_stage_takes_the_file_for_its_own_search_space_alone(file, tmp_path) -> None:
    call = ["stage=truth", f"paths.truth={tmp_path}/truth", f"truth.source={file}"]
    with pytest.raises(ConfigError, match=r"a file of NAS-Bench-101, .*nasbench201; set space=nasbench101"):
        truth_stage.run(compose_config(call)[1])
    assert truth_stage.run(compose_config([*call, "space=nasbench101"])[1]) == 0
    assert TruthTable.open(tmp_path / "truth/nasbench101.h5").known("cifar10") == tuple(GRAPHS)


def test_records_can_be_watched_on_their_way(file) -> None:
    seen = []
    read(file, watch=lambda them: (seen.append(len(one)) or one for one in them))
    assert len(seen) == 5


def test_damage_is_named_with_its_place(file) -> None:
    content = bytearray(file.read_bytes())
    length = len(framed(b"")) + struct.unpack("<Q", content[:8])[0]
    for place, where in ((20, "damaged after byte 0"), (length + 2, f"damaged at byte {length}")):
        broken = bytearray(content)
        broken[place] ^= 1
        file.write_bytes(broken)
        with pytest.raises(DataFileError, match=rf"^\S+ is {where}: fetch it again\.$"):
            list(records(file))
    file.write_bytes(content[: length + 30])
    with pytest.raises(DataFileError, match="ends in the middle of a record"):
        list(records(file))
    file.write_bytes(b"PK\x03\x04 an archive of something else")
    with pytest.raises(DataFileError, match=r"^\S+ is no TFRecord file: fetch it again\.$"):
        list(records(file))
    with pytest.raises(DataFileError, match=r"There is no accuracy file .*; correct truth\.source"):
        list(records(file.with_name("missing.tfrecord")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not json", "Expecting value"),
        (json.dumps(["aa", 108, "010001000", ["input", "output"], FIGURES]).encode(), "no attribute 'split'"),
        (json.dumps(["aa", 108, "010001000"]).encode(), "not enough values"),
        (json.dumps(["aa", 108, "010001000", "input,conv3x3-bn-relu,output", "%%%"]).encode(), "base64"),
        (json.dumps(["aa", 108, "010001000", "input,conv3x3-bn-relu,output", ""]).encode(), "lack its parameters"),
        (record("conv3x3~0|output~1", 108, 1.0, 1.0, 1.0)[12:-4].replace(b"conv3x3", b"conv9x9"), "'conv9x9-bn-relu'"),
    ],
)
def test_a_record_of_something_else_is_refused_by_its_number(tmp_path, content, reason) -> None:
    path = tmp_path / "other.tfrecord"
    path.write_bytes(record("maxpool3x3~0|output~0~1", 108, 0.1, 0.2, 3.0) + framed(content))
    with pytest.raises(DataFileError, match=f"record 2 is none of NAS-Bench-101: .*{reason}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_whole_runs_holds_no_labels(tmp_path) -> None:
    path = tmp_path / "short.tfrecord"
    path.write_bytes(record("conv3x3~0|output~1", 4, 0.5, 0.6, 1.0))
    with pytest.raises(DataFileError, match="no run of 108 epochs"):
        read(path)


def test_a_cell_under_two_hashes_is_refused(tmp_path) -> None:
    path = tmp_path / "doubled.tfrecord"
    once = record("conv3x3~0|output~1", 108, 0.5, 0.6, 1.0)
    path.write_bytes(once + framed(once[12:-4].replace(b'"aa"', b'"ab"')))
    with pytest.raises(DataFileError, match=r"holds 'conv3x3~0\|output~1' under 2 hashes"):
        read(path)


def test_every_cut_of_a_message_is_an_error_and_none_is_misread() -> None:
    whole = message(0.9, 0.8, 7.0, 300)
    assert read_metrics(whole).test_accuracy == 0.9
    for length in range(len(whole)):
        try:
            metrics = read_metrics(whole[:length])
        except ValueError:
            continue
        assert metrics == read_metrics(whole)  # what is missing is a field that no one reads
    with pytest.raises(ValueError, match="wire type 3"):
        list(fields(bytes([1 << 3 | 3])))
