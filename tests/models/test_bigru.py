import pytest
import torch
from oracle_models import predict_alone
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from nap2.models.bigru import BiGRUPredictor, Packing
from nap2.models.packed_gru import packed_gru
from nap2.models.prefix_sharing import predict_prefixes
from nap2.seeding import make_deterministic

LENGTHS = torch.tensor([3, 9, 1, 5, 5])


def net_of(layers: int = 2, dropout: float = 0.0) -> BiGRUPredictor:
    torch.manual_seed(0)
    return BiGRUPredictor(input_size=6, hidden=4, layers=layers, dropout=dropout).double()


def sequences(count: int = 5, steps: int = 9) -> torch.Tensor:
    return torch.randn(count, steps, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_parameter_count_is_that_of_the_paper() -> None:
    net = BiGRUPredictor()
    assert sum(p.numel() for p in net.gru.parameters()) == 592_896
    assert sum(p.numel() for p in net.parameters()) == 658_946


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_batch_equals_each_sequence_alone(layers: int) -> None:
    net, z = net_of(layers), sequences()
    expected = torch.stack([predict_alone(net, z[i, :k]) for i, k in enumerate(LENGTHS)])
    predicted = net(z, LENGTHS)
    torch.testing.assert_close(predicted, expected, rtol=1e-12, atol=1e-14)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    wanted = torch.autograd.grad((expected * weights).sum(), list(net.parameters()))
    gradients = torch.autograd.grad((predicted * weights).sum(), list(net.parameters()))
    torch.testing.assert_close(gradients, wanted, rtol=1e-10, atol=1e-13)


def test_the_published_size_in_float32_equals_each_sequence_alone() -> None:
    torch.manual_seed(0)
    net, z = BiGRUPredictor().eval(), torch.randn(3, 23, 256)
    with torch.no_grad():
        expected = torch.stack([predict_alone(net, z[i, :k]) for i, k in enumerate((7, 23, 1))])
        torch.testing.assert_close(net(z, torch.tensor([7, 23, 1])), expected, rtol=0, atol=2e-6)


def test_without_lengths_every_step_is_read() -> None:
    net, z = net_of(), sequences()
    torch.testing.assert_close(net(z), net(z, torch.full((5,), 9)), rtol=0, atol=0)


def test_what_lies_beyond_a_length_is_not_read() -> None:
    net, z = net_of(), sequences()
    spoiled = z.clone()
    for row, length in enumerate(LENGTHS):
        spoiled[row, length:] = torch.nan
    torch.testing.assert_close(net(spoiled, LENGTHS), net(z, LENGTHS), rtol=0, atol=0)


def test_the_order_of_a_batch_does_not_matter() -> None:
    net, z = net_of(), sequences()
    order = torch.tensor([4, 0, 3, 1, 2])
    torch.testing.assert_close(net(z[order], LENGTHS[order]), net(z, LENGTHS)[order], rtol=1e-12, atol=1e-14)


def test_predictions_are_fractions() -> None:
    predicted = net_of()(100 * sequences(), LENGTHS)
    assert bool(((predicted >= 0) & (predicted <= 1)).all())


@pytest.mark.parametrize("reverse", [False, True])
def test_the_packed_recurrence_is_that_of_torch(reverse: bool) -> None:
    torch.manual_seed(0)
    gru = nn.GRU(6, 4, bidirectional=True, batch_first=True).double()
    lengths = LENGTHS.sort(descending=True).values
    packed = pack_padded_sequence(sequences(), lengths, batch_first=True)
    suffix, columns = ("_reverse", slice(4, 8)) if reverse else ("", slice(0, 4))
    names = [f"{kind}_l0{suffix}" for kind in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")]
    own = [gru.get_parameter(name) for name in names]
    expected = gru(packed)[0].data[:, columns]
    projected = nn.functional.linear(packed.data, own[0], own[1])
    states = packed_gru(projected, own[2], own[3], packed.batch_sizes.tolist(), reverse=reverse)
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-14)
    wanted = torch.autograd.grad(expected.sin().sum(), own)
    torch.testing.assert_close(torch.autograd.grad(states.sin().sum(), own), wanted, rtol=1e-10, atol=1e-13)


def test_packing_lists_rows_step_by_step() -> None:
    packing = Packing.of(torch.tensor([3, 2, 2]))
    assert packing.batch_sizes == [3, 3, 1]
    assert packing.starts.tolist() == [0, 3, 6]
    assert packing.last_rows().tolist() == [6, 4, 5]
    z = torch.arange(9).view(3, 3, 1)
    assert packing.rows(z).flatten().tolist() == [0, 3, 6, 1, 4, 7, 2]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_shared_prefixes_equal_separate_ones(layers: int, lengths: torch.Tensor | None) -> None:
    net, z = net_of(layers), sequences()
    shared = predict_prefixes(net, z, lengths)
    whole = [9] * 5 if lengths is None else lengths.tolist()
    found = sorted(zip(shared.architecture.tolist(), shared.length.tolist(), strict=True))
    assert found == [(a, k) for a, length in enumerate(whole) for k in range(1, length + 1)]
    places = zip(shared.architecture, shared.length, strict=True)
    expected = torch.stack([predict_alone(net, z[a, :k]) for a, k in places])
    torch.testing.assert_close(shared.accuracy, expected, rtol=1e-12, atol=1e-14)
    target = torch.linspace(0, 1, len(expected), dtype=torch.float64)
    wanted = torch.autograd.grad((expected - target).abs().mean(), list(net.parameters()))
    gradients = torch.autograd.grad((shared.accuracy - target).abs().mean(), list(net.parameters()))
    torch.testing.assert_close(gradients, wanted, rtol=0, atol=1e-10)


def test_dropout_acts_in_training_only() -> None:
    net, z = net_of(dropout=0.5), sequences()
    assert not torch.equal(net(z), net(z))
    assert not torch.equal(predict_prefixes(net, z).accuracy, predict_prefixes(net, z).accuracy)
    net.eval()
    torch.testing.assert_close(net(z), net(z), rtol=0, atol=0)


def test_a_gpu_predicts_and_learns_as_a_cpu_and_adds_in_a_fixed_order(gpu) -> None:
    net, z = net_of(), sequences()  # in training mode: cuDNN knows no other backward pass
    on_cpu = net(z, LENGTHS)
    on_cpu.square().sum().backward()
    wanted = [p.grad for p in net.parameters()]
    net.zero_grad()
    net.cuda()
    on_gpu = net(z.cuda(), LENGTHS)
    on_gpu.square().sum().backward()
    torch.testing.assert_close(on_gpu.detach().cpu(), on_cpu.detach(), rtol=1e-9, atol=1e-11)
    for parameter, gradient in zip(net.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad.cpu(), gradient, rtol=1e-8, atol=1e-10)
    assert gpu is None or not gpu.unordered, "sums whose last bits a GPU does not reproduce"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_reads_all_prefixes_as_a_cpu() -> None:
    net, z = net_of(), sequences()
    expected = predict_prefixes(net, z, LENGTHS)
    found = predict_prefixes(net.cuda(), z.cuda(), LENGTHS)
    torch.testing.assert_close(found.accuracy.detach().cpu(), expected.accuracy.detach(), rtol=1e-9, atol=1e-11)
    assert torch.equal(found.architecture, expected.architecture)


@pytest.mark.cuda
def test_two_passes_on_a_gpu_have_the_same_bits() -> None:
    make_deterministic()
    net, z = net_of(dropout=0.0).float().cuda(), sequences().float().repeat(40, 1, 1).cuda()
    lengths = LENGTHS.repeat(40)

    def gradients() -> list[torch.Tensor]:
        return list(torch.autograd.grad(net(z, lengths).square().sum(), list(net.parameters())))

    assert all(torch.equal(one, other) for one, other in zip(gradients(), gradients(), strict=True))
