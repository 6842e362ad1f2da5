"""What is passed beside the networks is blamed for itself, in one line, and is read no more than needed."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fakes_predictor import random_predictor
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from nap2.errors import CheckpointError, NetworkError
from nap2.inference import Predictor
from nap2.inference.batches import replayed

MODELS = {"one": nn.Linear(5, 3), "two": nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))}
BATCH = torch.randn(6, 5), torch.arange(6) % 3


@pytest.fixture(scope="module")
def ranker() -> Predictor:
    return random_predictor(every=2, num_snapshots=3)


class Loader:
    """A batch, then an error; a length or an error instead of one."""

    def __init__(self, length: int | Exception = 1, fails: bool = False) -> None:
        self.length, self.fails = length, fails

    def __len__(self) -> int:
        if isinstance(self.length, Exception):
            raise self.length
        return self.length

    def __iter__(self):
        yield BATCH
        if self.fails:
            raise OSError("the disk\nis gone")


class Once(Loader):
    """Gives what it has once, as a stream does that nobody rewinds."""

    def __iter__(self):
        while self.length:
            self.length -= 1
            yield BATCH


def fail(name: str, done: int) -> None:
    raise KeyError("my own mistake")


@pytest.mark.parametrize(
    ("loader", "options", "message"),
    [
        (Loader(fails=True), {}, "The loader failed at batch 2: OSError: the disk is gone"),
        (iter(Loader(fails=True)), {}, "The loader failed at batch 2: OSError: the disk is gone"),
        (Loader(ZeroDivisionError("no shards")), {}, "The loader's __len__ failed: ZeroDivisionError: no shards"),
        (Once(3), {}, r"gives no batch, though it gave 3 batches before; .* each time that it is read"),
        (Once(4), {}, r"gives no batch; pass one that yields .* each time that it is read"),
        (None, {}, "The loader failed at batch 1: TypeError"),
        ([BATCH], {"on_batch": fail}, "on_batch failed after mini-batch 1 of one: KeyError: 'my own mistake'"),
    ],
)
def test_no_network_is_blamed_for_what_stands_beside_it(ranker, loader, options, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        ranker.rank(MODELS, loader, 4, **options)
    assert "\n" not in str(caught.value)


def test_a_failure_says_what_is_odd_about_the_batch_that_it_came_with(ranker: Predictor) -> None:
    holes = [BATCH, (torch.full((6, 5), torch.nan), BATCH[1])]
    for data, reason in (
        (holes, "diverged: the loss was nan at mini-batch 2; the loader's inputs there are not all finite"),
        (
            [(BATCH[0].byte(), BATCH[1])],
            r"RuntimeError: .*; the loader gives bytes \(uint8\): give floating-point inputs",
        ),
    ):
        for place in ranker.rank(MODELS, data, 4):
            assert re.match(reason, place.failure), place.failure


def test_normalisation_that_fails_on_a_batch_of_one_input_names_the_batch(ranker: Predictor) -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    (place,) = ranker.rank({"net": model}, [BATCH, (BATCH[0][:1], BATCH[1][:1])], 4)
    assert re.match(r"ValueError: Expected more than 1 .* single input: use larger batches, or", place.failure)


def test_a_loader_that_knows_no_length_is_read_all_the_same(ranker: Predictor) -> None:
    expected = [place.predicted_accuracy for place in ranker.rank(MODELS, [BATCH] * 4, 4)]
    for length in (NotImplementedError(), TypeError()):
        found = [place.predicted_accuracy for place in ranker.rank(MODELS, Loader(length), 4)]
        assert found == pytest.approx(expected, abs=1e-6)


class Number:
    """A whole number that is no int, as NumPy has them."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_a_budget_is_any_whole_number_and_by_default_near_100(ranker: Predictor) -> None:
    assert ranker.rank(MODELS, [BATCH], Number(4))[0].query_batches == 4
    assert ranker.rank(MODELS, [BATCH])[0].query_batches == ranker.query_near(100) == 6
    for wrong in (4.0, "4"):
        with pytest.raises(CheckpointError, match=f"after {wrong!r} mini-batches, no whole number; .* reads 2 to 6 in"):
            ranker.rank(MODELS, [BATCH], wrong)


def shuffled() -> DataLoader:
    data = TensorDataset(torch.randn(24, 5, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3)
    return DataLoader(data, batch_size=6, shuffle=True)


def test_an_iterator_is_read_like_its_loader_and_no_further(ranker: Predictor) -> None:
    taken: list[int] = []

    def endless():
        while True:
            taken.append(1)
            yield BATCH

    ranker.rank(MODELS, endless(), 4)
    assert len(taken) == 4
    state = torch.get_rng_state()
    iterator = iter(shuffled())
    torch.set_rng_state(state)
    by_iterator = ranker.rank(MODELS, iterator, 4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)  # the order is that of `seed`
    again = ranker.rank(MODELS, iter(shuffled()), 4)
    for found in (by_iterator, again):
        assert [place.predicted_accuracy for place in found] == [place.predicted_accuracy for place in by_iterator]


def test_an_iterator_may_write_each_batch_into_the_same_tensors(ranker: Predictor) -> None:
    batches = [(BATCH[0] + shift, (BATCH[1] + shift) % 3) for shift in range(4)]

    def refilled():
        inputs, targets = torch.empty(6, 5), torch.empty(6, dtype=torch.int64)
        for batch in batches:
            inputs.copy_(batch[0])
            targets.copy_(batch[1])
            yield inputs, targets

    expected = [place.predicted_accuracy for place in ranker.rank(MODELS, batches, 4)]
    assert [place.predicted_accuracy for place in ranker.rank(MODELS, refilled(), 4)] == expected


class Noise(torch.utils.data.Dataset):
    """Images that a worker draws anew each time."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.randn(5) + index, index % 3


def test_workers_that_are_kept_from_epoch_to_epoch_draw_the_same_for_every_network(ranker: Predictor) -> None:
    loader = DataLoader(Noise(), batch_size=6, shuffle=True, num_workers=1, persistent_workers=True)
    models = {"one": MODELS["one"], "again": MODELS["one"]}
    first, second = ranker.rank(models, loader, 4)
    assert first.predicted_accuracy == second.predicted_accuracy
    assert loader._iterator is None  # the user's own workers have not been started


class Flips(torch.utils.data.Dataset):
    """Images of whole bytes, mirrored as a random state of their own has it, or one of the process."""

    images = torch.randint(0, 256, (12, 5), generator=torch.Generator().manual_seed(0)) / 255

    def __init__(self, draw) -> None:
        self.draw = draw

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self.images[index]
        return (image.flip(0) if self.draw() < 0.5 else image), index % 3


OWN = random.Random(0)


def in_any_order(examples: list) -> list[torch.Tensor]:
    return default_collate(OWN.sample(examples, len(examples)))


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Flips(OWN.random), batch_size=6, shuffle=True),
        DataLoader(TensorDataset(Flips.images, torch.arange(12) % 3), batch_size=6, collate_fn=in_any_order),
    ],
)
def test_the_same_numbers_in_other_places_are_another_batch(ranker: Predictor, loader: DataLoader) -> None:
    with pytest.raises(NetworkError, match="The loader gave another batch 1 the second time"):
        ranker.rank(MODELS, loader, 4)


class Drops(nn.Linear):
    """Skips itself now and then, as Python's random state has it."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) * (random.random() < 0.5)


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_randomness_of_python_and_numpy_is_the_same_for_every_network_and_given_back(ranker: Predictor, draw) -> None:
    loader, model = DataLoader(Flips(draw), batch_size=6, shuffle=True), Drops(5, 3)
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    places = ranker.rank({"one": model, "again": model, "plain": MODELS["one"]}, loader, 4)
    found = {place.name: place.predicted_accuracy for place in places}
    assert found["one"] == found["again"]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    draw()  # the process is elsewhere by now
    again = ranker.rank({"plain": MODELS["one"]}, loader, 4)
    assert again[0].predicted_accuracy == found["plain"]


def test_rankings_of_several_threads_do_not_draw_from_each_other(ranker: Predictor) -> None:
    model = nn.Sequential(nn.Linear(5, 20), nn.Dropout(0.5), nn.Linear(20, 3))

    def score(_: object = None) -> float | None:
        return ranker.rank({"net": model}, shuffled(), 6)[0].predicted_accuracy

    alone, before = score(), torch.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(score, range(8))) == {alone}
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_that_are_not_dense_are_compared_too(ranker: Predictor) -> None:
    dense = ranker.rank(MODELS, [BATCH], 4)
    sparse = ranker.rank(MODELS, [(BATCH[0].to_sparse(), BATCH[1])], 4)
    assert [p.predicted_accuracy for p in sparse] == pytest.approx([p.predicted_accuracy for p in dense], abs=1e-6)


class DrawsOnGpu:
    """A loader whose batches come from the GPU's random state, as `torch.rand(…, device="cuda")` does."""

    def __iter__(self):
        for _ in range(3):
            generator = torch.Generator()
            generator.set_state(torch.cuda.get_rng_state(0))
            yield torch.rand(2, 5, generator=generator), torch.tensor([0, 1])
            torch.cuda.set_rng_state(generator.get_state(), 0)


@pytest.mark.usefixtures("gpu")
def test_a_loader_that_draws_on_the_gpu_gives_other_batches_and_each_network_the_same(request) -> None:
    if request.node.callspec.params["gpu"] == "real":
        pytest.skip("a CPU generator stands for the GPU's")
    runs = []
    for _ in range(2):
        runs.append([])
        for inputs, _ in replayed(DrawsOnGpu(), 6, seed=0):
            runs[-1].append(inputs)
            torch.cuda.manual_seed_all(len(runs))  # a network draws in between
    assert all(torch.equal(*pair) for pair in zip(*runs, strict=True))
    assert len({float(inputs.sum()) for inputs in runs[0]}) == 6
