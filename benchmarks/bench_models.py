"""Autoencoder and predictor against their plain forms: training steps, encoding, an epoch over prefixes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.harness import Measurement, paired
from benchmarks.references.models_plain import PaddedBiGRU, adam_step, conv_cae
from nap2.models.bigru import BiGRUPredictor
from nap2.models.cae import CAE
from nap2.models.cae_module import reconstruction_loss
from nap2.models.prefix_sharing import predict_prefixes
from nap2.models.zero_skip import compact_ragged
from nap2.seeding import generator
from nap2.snapshots.layers import recorded_layers
from nap2.snapshots.layout import dense_index, num_entries
from nap2.spaces import SPACES

BATCH, SNAPSHOTS = 32, 23
MAPS_OF_ONE = 8  # of a network, in the batch of 256 to encode
Ragged = list[tuple[Tensor, tuple[int, ...]]]


def measurements(quick: bool) -> list[Measurement]:
    rounds = 3 if quick else 7
    torch.manual_seed(0)
    ragged = random_maps(BATCH)
    return [*training_rows(dense(ragged)[::MAPS_OF_ONE], rounds), *encoding_rows(ragged, rounds), *epoch_rows(rounds)]


def random_maps(num_networks: int) -> Ragged:
    """Maps of random networks of the space, with values like log-normalised ones."""
    space = SPACES["nasbench201"]
    names = space.arch_strings()
    chosen = torch.randperm(len(names), generator=generator("bench maps"))[:num_networks]
    units = [tuple(layer.units for layer in recorded_layers(space.build(names[int(index)]))) for index in chosen]
    return [(torch.randn(MAPS_OF_ONE, num_entries(u)), u) for u in units]


def dense(ragged: Ragged) -> Tensor:
    """Padded `[B, 12, 65, 100]`, contiguous as convolutions have it."""
    maps = []
    for values, units in ragged:
        padded = values.new_zeros(len(values), 65 * 100 * 12)
        padded[:, dense_index(units)] = values
        maps.append(padded.view(-1, 65, 100, 12).permute(0, 3, 1, 2))
    return torch.cat(maps).contiguous()


def training_rows(maps: Tensor, rounds: int) -> list[Measurement]:
    ours = fused_step(net := CAE(), lambda: reconstruction_loss(net(x := channels_last(maps)), x))
    rows = []
    for dtype, goal, stretch in ((torch.float64, 4.5, 8.0), (torch.float32, 1.5, 3.0)):
        plain, target = conv_cae().to(dtype), maps.to(dtype)
        reference = adam_step(plain, lambda p=plain, t=target: reconstruction_loss(p(t), t))
        name = f"CAE training step, batch {BATCH}, vs Conv2d eager {str(dtype).removeprefix('torch.')}"
        rows.append(Measurement(name, *paired(ours, reference, rounds), goal, stretch, note="ours in float32"))
    return rows


def encoding_rows(ragged: Ragged, rounds: int) -> list[Measurement]:
    encoder, plain = CAE().encoder.eval(), conv_cae()[0].eval()
    full = torch.randn(BATCH * MAPS_OF_ONE, 12, 65, 100)
    padded = dense(ragged)
    density = float((padded != 0).float().mean())
    cases = (
        ("dense", lambda: encoder(full), full, 2.0, "no value is zero"),
        ("padded", lambda: encoder(padded), padded, 2.0, f"zeros found by value; {density:.0%} of a map is filled"),
        ("zero-skip", lambda: encoder.encode_rows(compact_ragged(ragged)), padded, 3.5, "ours reads ragged maps"),
    )
    rows = []
    for name, ours, maps, goal, note in cases:
        times = paired(no_grad(ours), no_grad(lambda m=maps: plain(m)), rounds)
        rows.append(Measurement(f"encoding 256 maps, {name}, vs Conv2d eager float32", *times, goal, 6.0, note=note))
    return rows


def epoch_rows(rounds: int) -> list[Measurement]:
    whole = torch.randn(BATCH, SNAPSHOTS, 256)
    architecture = torch.arange(BATCH).repeat_interleave(SNAPSHOTS)
    length = torch.arange(1, SNAPSHOTS + 1).repeat(BATCH)
    order = torch.randperm(len(length), generator=generator("bench prefixes")).split(BATCH)
    batches = [(whole[architecture[items]], length[items]) for items in order]
    net, sharing, plain = BiGRUPredictor(), BiGRUPredictor(), PaddedBiGRU()
    packed = over(batches, net, lambda z, k: net(z[:, : int(k.max())], k), fused_step)
    padded = over(batches, plain, plain, adam_step)
    shared = fused_step(sharing, lambda: l1(predict_prefixes(sharing, whole).accuracy))
    note = f"{len(length)} of the 16,100 sequences of an epoch; the reference is another model, for speed only"
    name = f"predictor epoch, {{}}, vs batches of {BATCH} padded to {SNAPSHOTS}"
    return [
        Measurement(name.format("packed"), *paired(packed, padded, rounds), 1.15, None, note=note),
        Measurement(name.format("prefix-shared"), *paired(shared, padded, rounds), 2.5, 4.0, note=note),
    ]


def over(
    batches: list[tuple[Tensor, Tensor]],
    net: nn.Module,
    predict: Callable[[Tensor, Tensor], Tensor],
    make_step: Callable,
) -> Callable[[], None]:
    """A training step on each batch."""
    current: list[tuple[Tensor, Tensor]] = []
    step = make_step(net, lambda: l1(predict(*current[-1])))

    def run() -> None:
        for batch in batches:
            current.append(batch)
            step()
            current.clear()

    return run


def l1(predicted: Tensor) -> Tensor:
    return (predicted - 0.5).abs().mean()


def channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def fused_step(net: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def no_grad(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return torch.no_grad()(function)
