"""The message in which NAS-Bench-101 keeps the figures of one training run, read without the protobuf library."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # wire types
EVALUATION, PARAMETERS = 1, 2  # fields of ModelMetrics
TRAINING_TIME, VALIDATION_ACCURACY, TEST_ACCURACY = 2, 4, 5  # fields of EvaluationData


@dataclass(frozen=True)
class RunMetrics:
    """What one training run ended with; accuracies are fractions."""

    params: int
    train_time_s: float
    validation_accuracy: float
    test_accuracy: float


def read_metrics(message: bytes) -> RunMetrics:
    """The last evaluation of a run (the file holds the first step, half way, and the end).

    Raises:
        ValueError: not such a message.
    """
    params, last = None, None
    for number, value in fields(message):
        if number == PARAMETERS and isinstance(value, int):
            params = value
        elif number == EVALUATION and isinstance(value, bytes):
            last = value
    if params is None or last is None:
        raise ValueError("the figures of a run lack its parameters or its evaluations")
    found = {number: value for number, value in fields(last) if isinstance(value, float)}
    try:
        return RunMetrics(params, found[TRAINING_TIME], found[VALIDATION_ACCURACY], found[TEST_ACCURACY])
    except KeyError as error:
        raise ValueError(f"the last evaluation of a run lacks field {error}") from error


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of each field, in order; eight bytes are read as a float64.

    Raises:
        ValueError: cut off, or of a wire type that the format does not use.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == BYTES:
            size, place = _varint(message, place)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind} in the figures of a run")
        content = message[place : place + size]
        if len(content) < size:
            raise ValueError("the figures of a run are cut off")
        place += size
        yield number, float(struct.unpack("<d", content)[0]) if kind == EIGHT_BYTES else content


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise ValueError("the figures of a run are cut off")
