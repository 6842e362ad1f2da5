"""Every proxy leaves the network alone, says why it has no value, and does not depend on what it should not."""

import copy
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes_proxy import DEAD_CELL, Encoder, TwoOutputs, batch, cell_network, perceptron, small_convnet
from torch import nn

from nap2.baselines import PROXIES, score_network
from nap2.errors import NetworkError, UnknownNameError

DATA_FREE = {"params", "l2_norm", "synflow", "logsynflow", "entropic_score"}
RANDOM_IMAGES = {"zen", "az_expressivity", "az_progressivity", "az_trainability"}
LABELLED = {"grad_norm", "snip", "plain", "grasp", "fisher", "zico", "l_swag", "gradsign", "wrcor"}
NUMPY_STATE = np.random.get_state  # the global state is what must not move


@pytest.fixture(scope="module")
def scored():
    network, (x, y) = cell_network(), batch()
    return network, x, y, score_network(network, x, y)


def state(network):
    tensors = [*network.parameters(), *network.buffers()]
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in network.modules()]
    flags = list(zip((m.training for m in network.modules()), hooks, strict=True))
    wants = [p.requires_grad for p in network.parameters()]
    return [t.detach().clone() for t in tensors], gradients, flags, wants, [t._version for t in tensors]


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_leaves_network_batch_and_random_state_as_they_were(name):
    network, (x, y) = small_convnet(torch.float32).eval(), batch(4, 6)
    network[0].weight.requires_grad_(False)
    network[3].weight.grad = torch.ones_like(network[3].weight)
    before, images = state(network), x.clone()
    torch_state, numpy_state, python_state = torch.get_rng_state(), NUMPY_STATE()[1].copy(), random.getstate()
    score_network(network, x, y, [name])
    for left, right in zip(before, state(network), strict=True):
        for a, b in zip(left, right, strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert torch.equal(x, images)
    assert x.grad is None
    assert not x.requires_grad
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(NUMPY_STATE()[1], numpy_state)
    assert random.getstate() == python_state


@pytest.mark.parametrize("name", PROXIES)
def test_a_value_does_not_depend_on_which_others_are_asked_for(scored, name):
    network, x, y, together = scored
    alone = score_network(network, x, y, [name])[name]
    assert alone.failure == together[name].failure
    assert alone.value == pytest.approx(together[name].value, rel=1e-9)
    assert alone.passes == together[name].passes
    assert alone.forwards == together[name].forwards


def test_a_cell_has_every_value_in_the_order_of_the_table(scored):
    *_, scores = scored
    assert list(scores) == list(PROXIES)
    assert {name: score.failure for name, score in scores.items() if score.failure} == {}
    assert all(np.isfinite(score.value) and score.seconds >= 0 and score.forwards >= 0 for score in scores.values())


def test_a_record_of_ones_own_is_scored_beside_the_table(scored):
    network, x, y, together = scored
    own = replace(PROXIES["snip"], name="own", score=lambda passes: torch.tensor(PROXIES["snip"].score(passes)))
    scores = score_network(network, x, y, ["params", own])
    assert list(scores) == ["params", "own"]
    assert type(scores["own"].value) is float  # so that it can be written to a file
    assert scores["own"].value == pytest.approx(together["snip"].value, rel=1e-6)
    assert score_network(network, x, y, own)["own"].passes == together["snip"].passes


def test_the_cost_in_forward_passes_counts_a_backward_pass_twice(scored):
    *_, scores = scored
    assert scores["naswot"].forwards == 1
    assert scores["snip"].forwards == 3
    assert scores["grasp"].forwards == 5
    assert scores["params"].forwards == 0
    assert scores["synflow"].forwards == pytest.approx(3 / 6)


def test_scoring_works_where_the_caller_has_gradients_off_and_autocast_on(scored):
    network, x, y, scores = scored
    with torch.no_grad(), torch.autocast("cpu"):
        again = score_network(network, x, y, ["snip", "naswot", "synflow"])
    assert all(again[name].value == pytest.approx(scores[name].value, rel=1e-9) for name in again)
    with torch.inference_mode():
        assert score_network(network, x, y, ["snip"])["snip"].value == pytest.approx(scores["snip"].value, rel=1e-9)


def failures(network, x, y, proxies=None):
    return {name: score.failure for name, score in score_network(network, x, y, proxies).items() if score.failure}


def test_labels_out_of_range_fail_the_proxies_that_read_them(scored):
    network, x, y, _ = scored
    found = failures(network, x, y + 3)
    assert set(found) == LABELLED
    assert found["snip"] == "labels 3..6 are outside the network's classes 0..3"
    assert all(failure.endswith("outside the network's classes 0..3") for failure in found.values())
    assert set(failures(network, x, y - 1)) == LABELLED


def test_images_that_are_not_finite_fail_the_proxies_that_read_them(scored):
    network, x, y, _ = scored
    broken = x.clone()
    broken[2, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    found = failures(network, broken, y)
    assert set(found) == set(PROXIES) - DATA_FREE - RANDOM_IMAGES - {"flops"}
    assert set(found.values()) == {"the images hold 3 non-finite values"}


def test_a_network_without_relus_has_no_patterns_and_every_other_value():
    network, (x, y) = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(64, 4)),
        batch(6, 6),
    )
    found = failures(network, x, y)
    relus = {
        "naswot",
        "naswot_legacy",
        "te_nas_regions",
        "swap",
        "swap_16",
        "swap_reg",
        "swap_reinit",
        "l_swag",
        "wrcor",
    }
    blocks = {name for name in PROXIES if name.startswith("az_")}
    assert set(found) == relus | blocks
    assert {found[name] for name in relus} == {"no nn.ReLU module was run", "no nn.ReLU module tells the images apart"}
    assert {found[name] for name in blocks} == {"it compares the blocks of a network, and this one has none"}


def test_a_network_without_batchnorm_and_maps_has_all_values_that_need_none():
    found = failures(perceptron(torch.float32), *batch(6, 2, num_classes=3))
    expected = {"zen", "meco", "entropic_score", "az_expressivity", "az_progressivity", "az_trainability"}
    assert set(found) == expected
    assert found["entropic_score"] == "no nn.ReLU sees a map with positions"
    assert found["zen"] == "no leaf module returns a feature map [B, C, H, W]"


def test_a_transformer_over_tokens_is_scored_where_integers_allow_it():
    tokens, y = torch.randint(0, 11, (6, 5), generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    scores = score_network(Encoder(), tokens, y)
    valued = {name for name, score in scores.items() if score.failure is None}
    assert {"params", "flops", "l2_norm", "grad_norm", "snip", "plain", "grasp", "zico", "gradsign", "te_nas"} <= valued
    assert scores["synflow"].failure == "it feeds random images, but the network takes integers"
    assert scores["jacob_cov"].failure == "the network takes integers, which have no gradient"
    assert scores["naswot"].failure == "no nn.ReLU module was run"


def test_a_tuple_output_fails_what_needs_logits_and_nothing_else():
    network, (x, y) = TwoOutputs(cell_network()), batch()
    scores = score_network(network, x, y)
    assert scores["naswot"].value == pytest.approx(score_network(network.network, x, y, ["naswot"])["naswot"].value)
    assert scores["snip"].failure == "it needs logits, but the network returned a tuple"
    assert scores["synflow"].failure == "it needs logits, but the network returned a tuple"
    assert {name for name, s in scores.items() if s.value is not None} >= {"params", "flops", "swap", "meco", "zen"}


def test_a_disconnected_cell_fails_what_is_minus_infinity_there():
    scores = score_network(cell_network(DEAD_CELL), *batch())
    expected = {
        "synflow": "no path leads from the image to the logits (its logarithm is -inf)",
        "jacob_cov": "an image has a constant Jacobian: its logits do not depend on it",
        "epe_nas": "an image has a constant Jacobian: its logits do not depend on it",
        "naswot": "the images have linearly dependent activation patterns (log det is -inf)",
        "zico": "no weight has a gradient that differs between the parts of the batch",
        "zen": "the last feature map does not move with the images (its logarithm is -inf)",
    }
    assert {name: scores[name].failure for name in expected} == expected
    assert scores["params"].value > 0
    assert scores["logsynflow"].value == 0.0
    assert scores["grad_norm"].value is not None


def test_a_network_cut_from_its_input_says_so():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 4)

        def forward(self, x):
            return self.layer(x.flatten(1) * 0.0)

    scores = score_network(Cut(), *batch(4, 2))
    assert scores["synflow"].failure == "no path leads from the image to the logits (its logarithm is -inf)"
    assert scores["jacob_cov"].failure == "an image has a constant Jacobian: its logits do not depend on it"
    assert scores["grad_norm"].value == 0.0


@pytest.mark.parametrize("others", [[], ["jacob_cov"], None])
def test_weights_that_the_loss_does_not_see_have_no_gradient_whatever_else_is_asked_for(others):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()

        def forward(self, x):
            return self.relu(x).mean((2, 3))

    names = {"grad_norm", "snip", "grasp", "wrcor"}
    found = failures(Idle(), *batch(4, 5, num_classes=3), None if others is None else [*names, *others])
    assert {found[name] for name in names} == {"the loss does not depend on any weight"}


def test_broken_weights_and_none_at_all_are_what_synaptic_flow_names():
    network = small_convnet(torch.float32)
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = float("nan")
    assert failures(network, *batch(4, 6), ["synflow", "logsynflow", "grad_norm"]) == {
        "synflow": "the weights are not finite",
        "logsynflow": "the weights are not finite",
        "grad_norm": "the logits are not finite",
    }
    found = failures(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), *batch(4, 6), ["synflow", "l2_norm"])
    assert set(found.values()) == {"the network has no convolution or linear layer"}


@pytest.mark.parametrize(("shift", "expected"), [(1, "labels 1..4 are"), (4, "labels 4..7 are")])
def test_labels_outside_the_classes_are_named(shift, expected):
    x, y = batch(4, 6)
    assert failures(small_convnet(torch.float32), x, y + shift, ["snip"])["snip"].startswith(expected)
    alone = failures(small_convnet(torch.float32), x, torch.full((4,), 9), ["snip"])["snip"]
    assert alone == "label 9 is outside the network's classes 0..3"


def test_one_class_and_one_image_have_the_values_they_can_have():
    one_class = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 1))
    scores = score_network(one_class, batch(4, 2)[0], torch.zeros(4, dtype=torch.int64))
    assert scores["grad_norm"].value == 0.0
    assert scores["jacob_cov"].failure is None
    assert scores["zico"].failure == "no weight has a gradient that differs between the parts of the batch"
    single = score_network(cell_network(), *batch(1))
    assert single["zico"].failure == "it splits the batch in 2, and the batch holds 1 image"
    assert single["naswot"].failure is None
    assert single["swap"].value in (1.0, 2.0)
    assert single["te_nas"].value == 1.0


def test_equal_images_have_no_log_determinant():
    x, y = batch(4)
    scores = score_network(cell_network(), x[:1].expand(4, -1, -1, -1), y, ["naswot", "te_nas_regions", "te_nas"])
    assert scores["naswot"].failure == "the images have linearly dependent activation patterns (log det is -inf)"
    assert scores["te_nas_regions"].value == 1.0
    assert scores["te_nas"].failure == "the tangent kernel is singular to working precision"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_networks_are_scored_in_float32(dtype):
    network, (x, y) = cell_network().to(dtype), batch()
    expected = score_network(copy.deepcopy(network).float(), x.to(dtype).float(), y, ["snip", "naswot", "synflow"])
    scores = score_network(network, x.to(dtype), y, ["snip", "naswot", "synflow"])
    assert {name: s.value for name, s in scores.items()} == {name: s.value for name, s in expected.items()}


def test_a_plain_convnet_and_attention_over_patches_have_every_value_that_they_can_have():
    class Patches(nn.Module):
        """A transformer over image patches: no convolution after the first, no BatchNorm, no maps."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.embed = nn.Conv2d(3, 8, 4, stride=4)
            self.attend, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)
            self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2)
            tokens = self.norm(tokens + self.attend(tokens, tokens, tokens)[0])
            return self.head(tokens.mean(1))

    blocks = {name for name in PROXIES if name.startswith("az_")}
    assert set(failures(small_convnet(torch.float32), *batch(6, 6))) == blocks
    found = failures(Patches(), *batch(6, 8))
    assert set(found) - blocks == {"entropic_score", "logsynflow"}
    assert found["logsynflow"] == "the absolute network's output falls as a weight grows, as with attention"
    assert found["entropic_score"] == "no nn.ReLU sees a map with positions"


def test_inputs_of_another_shape_fail_in_one_line():
    scores = score_network(
        cell_network(), torch.randn(4, 5, 8, 8), torch.zeros(4, dtype=torch.int64), ["snip", "params"]
    )
    assert scores["params"].failure is None
    assert scores["snip"].failure.startswith(
        "the network failed: NetworkError: A NAS-Bench-201 network reads images [B, 3, H, W]"
    )
    assert "\n" not in scores["snip"].failure


def test_a_network_that_takes_views_of_its_maps_is_scored_without_channels_last():
    class Viewed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(64, 4)

        def forward(self, x):
            return self.head(self.relu(self.conv(x)).view(len(x), -1))

    network, (x, y) = Viewed(), batch(6, 6)
    scores = score_network(network, x, y, ["snip", "naswot"])
    assert scores["snip"].value == pytest.approx(score_network(network.double(), x.double(), y)["snip"].value, rel=1e-4)


def test_what_cannot_be_a_network_and_a_batch_is_refused():
    network, (x, y) = perceptron(), batch(3, 2)
    with pytest.raises(NetworkError, match=r"Only an nn\.Module can be scored, not function"):
        score_network(lambda x: x, x, y)
    with pytest.raises(NetworkError, match="A batch is a tensor of at least one image"):
        score_network(network, x[:0], y[:0])
    with pytest.raises(
        NetworkError, match=r"A batch of 3 images needs integer labels of shape \[3\], found torch.int64 \[2\]"
    ):
        score_network(network, x, y[:2])
    with pytest.raises(NetworkError, match=r"found torch.float32 \[3\]"):
        score_network(network, x, y.float())
    with pytest.raises(NetworkError, match="A tensor on the device 'meta' holds no values to score"):
        score_network(copy.deepcopy(network).to("meta"), x, y)
    with pytest.raises(NetworkError, match="A tensor on the device 'meta' holds no values to score"):
        score_network(network, x.to("meta"), y)
    with pytest.raises(UnknownNameError, match=r"No proxy is called 'synflo'. Did you mean 'synflow'\?"):
        score_network(network, x, y, ["synflo"])


def test_the_order_of_the_images_does_not_matter_to_scores_of_the_whole_batch(scored):
    network, x, y, scores = scored
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    names = [
        "naswot",
        "swap",
        "te_nas_regions",
        "grad_norm",
        "snip",
        "fisher",
        "jacob_cov",
        "epe_nas",
        "wrcor",
        "te_nas",
    ]
    again = score_network(network, x[order], y[order], names)
    assert all(again[name].value == pytest.approx(scores[name].value, rel=2e-3) for name in names)


def test_scaling_the_classifier_scales_what_is_linear_in_it():
    network, (x, y) = perceptron(), batch(5, 2, torch.float64, 3)
    before = score_network(network, x, y, ["synflow", "jacob_cov", "naswot", "te_nas_regions"])
    with torch.no_grad():
        network[3].weight.mul_(3.0)
        network[3].bias.mul_(3.0)
    after = score_network(network, x, y, list(before))
    assert after["synflow"].value == pytest.approx(before["synflow"].value + np.log(3.0), rel=1e-12)
    for name in ("jacob_cov", "naswot", "te_nas_regions"):
        assert after[name].value == pytest.approx(before[name].value, rel=1e-9)


def test_snip_does_not_change_when_a_normalised_layer_is_scaled_and_grad_norm_does():
    network, (x, y) = small_convnet(), batch(6, 6, torch.float64)
    network[7].p = 0.0
    network[1].eps = 1e-20
    before = score_network(network, x, y, ["snip", "grad_norm", "naswot"])
    with torch.no_grad():
        network[0].weight.mul_(7.0)
        network[0].bias.mul_(7.0)
    after = score_network(network, x, y, list(before))
    assert after["snip"].value == pytest.approx(before["snip"].value, rel=1e-9)
    assert after["naswot"].value == before["naswot"].value
    assert after["grad_norm"].value < before["grad_norm"].value


def test_seeds_change_what_is_drawn_and_nothing_else(scored):
    network, x, y, scores = scored
    again, other = (score_network(network, x, y, seed=seed) for seed in (0, 1))
    drawn = RANDOM_IMAGES | {"entropic_score", "swap_reinit"}
    for name in PROXIES:
        assert again[name].value == scores[name].value
        same = other[name].value == scores[name].value
        assert same if name not in drawn else True
    assert any(other[name].value != scores[name].value for name in drawn)


def test_draws_are_made_on_the_cpu_whatever_the_default_device():
    network, (x, y) = cell_network(), batch()
    drawing = ("swap_reinit", "zen", "entropic_score", "az_trainability")
    expected = score_network(network, x, y, drawing)
    with torch.device("meta"):  # where no number can be had
        found = score_network(network, x, y, drawing)
    assert [score.failure for score in found.values()] == [None] * len(drawing)
    assert [score.value for score in found.values()] == [score.value for score in expected.values()]


@pytest.mark.slow
@pytest.mark.usefixtures("gpu")
def test_a_network_on_the_gpu_has_the_same_values():
    network, (x, y) = cell_network(dtype=torch.float64), batch(dtype=torch.float64)
    on_cpu, on_gpu = score_network(network, x, y), score_network(network.cuda(), x, y)
    for name in PROXIES:
        assert on_gpu[name].failure == on_cpu[name].failure
        assert on_gpu[name].value == pytest.approx(on_cpu[name].value, rel=1e-5)


def test_scoring_computes_without_tf32_and_leaves_the_flags_alone():
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
            return super().forward(x)

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = True, False
    try:
        score_network(nn.Sequential(nn.Flatten(), Watched(12, 4)), *batch(size=2), ["snip"])
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (True, False)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = before
    assert set(seen) == {(False, True)}
