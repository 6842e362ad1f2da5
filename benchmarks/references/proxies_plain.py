# ruff: noqa: ANN001, ANN201, ANN202, B905, B023, RUF007
"""Each zero-cost proxy by itself, in the obvious way: a copy, hooks or loops, one forward pass of its own.

Same definitions as `nap2.baselines.PROXIES`, written without shared passes, packed patterns or other memory formats.
Proxies that draw at random draw from torch's global state, so that only their distribution
agrees with ours. Plain code as one writes it in a notebook: no annotations.
"""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pixel_unshuffle

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def layers(net):
    return [m for m in net.modules() if isinstance(m, LAYERS)]


def fresh(net, dtype=None):
    net = copy.deepcopy(net)
    net.zero_grad(set_to_none=True)
    return net.train().to(dtype) if dtype else net.train()


def backward(net, x, y):
    cross_entropy(net(x), y).backward()


def params(net, x, y):
    return sum(p.numel() for p in net.parameters())


def flops(net, x, y):
    net, counts = fresh(net).eval(), []
    for m in layers(net):
        m.register_forward_hook(lambda m, i, o: counts.append(o.numel() * m.weight[0].numel()))
    with torch.no_grad():
        net(x[:1])
    return sum(counts)


def l2_norm(net, x, y):
    return sum(m.weight.norm().item() for m in layers(net))


def grad_norm(net, x, y):
    net = fresh(net)
    backward(net, x, y)
    return sum(m.weight.grad.norm().item() for m in layers(net) if m.weight.grad is not None)


def snip(net, x, y):
    net = fresh(net)
    backward(net, x, y)
    return sum((m.weight * m.weight.grad).abs().sum().item() for m in layers(net) if m.weight.grad is not None)


def plain(net, x, y):
    net = fresh(net)
    backward(net, x, y)
    return sum((m.weight * m.weight.grad).sum().item() for m in layers(net) if m.weight.grad is not None)


def grasp(net, x, y):
    net = fresh(net)
    weights = [m.weight for m in layers(net)]
    fixed = torch.autograd.grad(cross_entropy(net(x), y), weights, allow_unused=True)
    again = torch.autograd.grad(cross_entropy(net(x), y), weights, create_graph=True, allow_unused=True)
    sum((g.detach() * h).sum() for g, h in zip(fixed, again) if g is not None).backward()
    return -sum((w * w.grad).sum().item() for w in weights if w.grad is not None)


def fisher(net, x, y):
    net, outputs = fresh(net), []

    def keep(m, i, o):
        o.retain_grad()
        outputs.append((m, o))

    for m in layers(net):
        m.register_forward_hook(keep)
    backward(net, x, y)
    total = 0.0
    for m, o in outputs:
        product = o * o.grad
        if product.dim() > 2:
            product = product.flatten(2).sum(2)
        delta = product.square().mean(0) / 2
        shape = (-1,) + (1,) * (m.weight.dim() - 1)
        total += (delta.reshape(shape) * torch.ones_like(m.weight)).abs().sum().item()
    return total


def jacobian(net, x):
    net, x = fresh(net), x.clone().requires_grad_(True)
    out = net(x)
    out.backward(torch.ones_like(out))
    return x.grad.reshape(len(x), -1).numpy(), out.shape[1]


def jacob_cov(net, x, y):
    v = np.linalg.eigvalsh(np.corrcoef(jacobian(net, x)[0]))
    return float(-np.sum(np.log(v + 1e-5) + 1 / (v + 1e-5)))


def epe_nas(net, x, y):
    rows, classes = jacobian(net, x)
    score = 0.0
    assert classes <= 100
    for c in np.unique(y.numpy()):
        score += abs(np.sum(np.log(np.abs(np.corrcoef(rows[y.numpy() == c])) + 1e-5)))
    return float(score)


def absolute(net):
    net = fresh(net, torch.float64)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, nn.Identity())
    for p in net.parameters():
        p.data.abs_()
    return net.eval()


def flow(net, x):
    net = absolute(net)
    net(torch.ones_like(x[:1], dtype=torch.float64)).sum().backward()
    return [(m.weight, m.weight.grad) for m in layers(net) if m.weight.grad is not None]


def synflow(net, x, y):
    return math.log(sum((w * g).sum().item() for w, g in flow(net, x)))


def logsynflow(net, x, y):
    return sum((w * (g + 1).log()).sum().item() for w, g in flow(net, x))


def entropic_score(net, x, y, draws=3):
    scores = []
    for _ in range(draws):
        one, total = absolute(net), []
        for m in layers(one):
            nn.init.kaiming_normal_(m.weight, mode="fan_out")
            m.weight.data.abs_()
            if m.bias is not None:
                m.bias.data.zero_()

        def entropy(m, i, o, total=total):
            a = o / o.amax((2, 3), keepdim=True).clamp(min=1e-300)
            total.append((-a * (a + 1e-8).log()).mean().item())

        for m in one.modules():
            if isinstance(m, nn.ReLU):
                m.register_forward_hook(entropy)
        with torch.no_grad():
            one(torch.rand_like(x[:1], dtype=torch.float64) - 0.5)
        scores.append(sum(total))
    return sum(scores) / draws


def codes(net, x):
    net, found = fresh(net), []
    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.register_forward_hook(lambda m, i, o: found.append((o > 0).reshape(len(o), -1)))
    with torch.no_grad():
        net(x)
    return found


def naswot_kernel(net, x, is_relu=lambda m: isinstance(m, nn.ReLU)):
    net, kernel = fresh(net), [torch.zeros(len(x), len(x), dtype=torch.float64)]

    def add(m, i, o):
        seen = o if isinstance(m, nn.ReLU) else i[0]
        c = (seen > 0).reshape(len(seen), -1).float()
        kernel[0] += c @ c.t() + (1 - c) @ (1 - c).t()

    for m in net.modules():
        if is_relu(m):
            m.register_forward_hook(add)
    with torch.no_grad():
        net(x)
    return kernel[0]


def naswot(net, x, y):
    return np.linalg.slogdet(naswot_kernel(net, x).numpy())[1].item()


def naswot_legacy(net, x, y):
    return np.linalg.slogdet(naswot_kernel(net, x, lambda m: "ReLU" in str(type(m))).numpy())[1].item()


def te_nas_regions(net, x, y):
    patterns = torch.cat(codes(net, x), 1)
    return len(torch.unique(patterns, dim=0))


def swap(net, x, y):
    patterns = torch.cat(codes(net, x), 1).t().contiguous()
    return len(torch.unique(patterns, dim=0))


def swap_16(net, x, y):
    patterns = torch.cat(codes(net, x), 1)[:16].t().contiguous()
    return len(torch.unique(patterns, dim=0))


def swap_reg(net, x, y):
    thousands = sum(p.numel() for p in net.parameters()) / 1e3
    return swap_16(net, x, y) * math.exp(-((thousands - 1000.0) ** 2) / 1e6)


def reinitialised(net, kaiming=False):
    net = fresh(net)
    for m in layers(net):
        nn.init.kaiming_normal_(m.weight) if kaiming else nn.init.normal_(m.weight)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    return net


def swap_reinit(net, x, y, draws=8):
    return sum(swap(reinitialised(net), x[:16], y) for _ in range(draws)) / draws


def halves(net, x, y):
    found = []
    for part, labels in zip(x.chunk(2), y.chunk(2)):
        one = fresh(net)
        backward(one, part, labels)
        found.append([m.weight.grad.numpy().astype(np.float64) for m in layers(one) if m.weight.grad is not None])
    return [np.stack(pair) for pair in zip(*found)]


def zico(net, x, y):
    score = 0.0
    for g in halves(net, x, y):
        std = g.std(0)
        total = (np.abs(g).mean(0)[std > 0] / std[std > 0]).sum()
        score += math.log(total) if total > 0 else 0.0
    return score


def l_swag(net, x, y):
    score = 0.0
    for g in halves(net, x, y):
        std = np.abs(g).std(0)
        total = (1 / std[std > 0]).sum()
        score += math.log(total) if total > 0 else 0.0
    return score * swap_16(net, x, y)


def gradsign(net, x, y):
    signs = []
    for i in range(min(16, len(x))):
        one = fresh(net)
        backward(one, x[i : i + 1], y[i : i + 1])
        signs.append(torch.cat([m.weight.grad.flatten() for m in layers(one) if m.weight.grad is not None]).sign())
    return torch.stack(signs).sum(0).abs().mean().item()


def correlations(values):
    return np.abs(np.corrcoef(values.detach().reshape(len(values), -1).numpy()))


def wrcor(net, x, y):
    """Depth is counted in children of the outermost `ModuleList`, as the cells of the published search spaces."""
    net, kernel, depth = fresh(net), [0.0], [0]
    lists = [m for m in net.modules() if isinstance(m, nn.ModuleList)]
    for block in lists[0]:
        block.register_forward_hook(lambda *_: depth.__setitem__(0, depth[0] + 1))

    def add(values, level):
        with np.errstate(all="ignore"):
            c = correlations(values)
        if np.isfinite(c).all():
            kernel[0] = kernel[0] + 2.0**level * c

    def after(m, i, o):
        level, active = depth[0], o.detach() > 0
        o.register_hook(lambda g: add(g * active, level))

    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.register_forward_pre_hook(lambda m, i: add(i[0], depth[0]))
            m.register_forward_hook(after)
    backward(net, x, y)
    ridge = 1e-6 * np.diag(kernel[0]).mean()
    return np.linalg.slogdet(kernel[0] + ridge * np.eye(len(x)))[1].item()


def meco(net, x, y):
    net, total = fresh(net), []

    def smallest(m, i, o):
        if o.dim() >= 3:
            with np.errstate(all="ignore"):
                c = np.corrcoef(o[0].flatten(1).numpy())
            total.append(np.linalg.eigvalsh(np.nan_to_num(c, nan=0.0, posinf=0.0, neginf=0.0))[0])

    for m in net.modules():
        if not list(m.children()):
            m.register_forward_hook(smallest)
    with torch.no_grad():
        net(x)
    return float(sum(total))


def te_nas(net, x, y):
    net, x = fresh(net), x[:16]
    logits, rows = net(x), []
    for i in range(len(x)):
        net.zero_grad()
        logits[i].sum().backward(retain_graph=True)
        rows.append(torch.cat([p.grad.flatten() for n, p in net.named_parameters() if "weight" in n]))
    rows = torch.stack(rows).double()
    v = torch.linalg.eigvalsh(rows @ rows.t())
    return (v[-1] / v[0]).item()


def zen(net, x, y, draws=2):
    scores = []
    for _ in range(draws):
        one, last = reinitialised(net), []
        norms = [m for m in one.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for m in norms:
            m.reset_parameters()
        for m in one.modules():
            if not list(m.children()) and not isinstance(m, nn.AdaptiveAvgPool2d | nn.AvgPool2d):
                m.register_forward_hook(lambda m, i, o: last.append(o) if o.dim() == 4 else None)
        images = torch.randn_like(x[:16])
        with torch.no_grad():
            one(images)
            before = last[-1]
            one(images + 0.01 * torch.randn_like(images))
        change = (before - last[-1]).abs().flatten(1).sum(1).mean().log().item()
        scores.append(change + sum(0.5 * m.running_var.mean().log().item() for m in norms))
    return sum(scores) / draws


def block_maps(net, x):
    net, chain = reinitialised(net, kaiming=True), []
    lists = [m for m in net.modules() if isinstance(m, nn.ModuleList)]
    for block in lists[0]:
        block.register_forward_hook(lambda m, i, o: chain.append((i[0], o)))
    net(torch.randn_like(x).requires_grad_(True))
    return chain


def spectrum_entropy(values):
    rows = values.detach().permute(0, 2, 3, 1).reshape(-1, values.shape[1])
    rows = rows - rows.mean(0)
    v = torch.linalg.eigvalsh(rows.t() @ rows / len(rows)).clamp(min=0)
    p = v / v.sum()
    return -(p * (p + 1e-8).log()).sum().item()


def az_expressivity(net, x, y):
    return sum(spectrum_entropy(after) for _, after in block_maps(net, x))


def az_progressivity(net, x, y):
    entropies = [spectrum_entropy(after) for _, after in block_maps(net, x)]
    return min(b - a for a, b in zip(entropies, entropies[1:]))


def az_trainability(net, x, y):
    scores = []
    for before, after in block_maps(net, x):
        signs = torch.randint(0, 2, after.shape).to(after) * 2 - 1
        (arrived,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        if before.shape[-1] != after.shape[-1]:
            arrived = pixel_unshuffle(arrived, before.shape[-1] // after.shape[-1])
        left = arrived.permute(0, 2, 3, 1).flatten(0, 2)
        right = signs.permute(0, 2, 3, 1).flatten(0, 2)
        s = torch.linalg.svdvals(left.t() @ right / len(left))[0].item()
        scores.append(2 - s - 1 / (s + 1e-6))
    return sum(scores) / len(scores)


REFERENCES = {
    f.__name__: f
    for f in (
        params, flops, l2_norm, grad_norm, snip, plain, grasp, fisher, jacob_cov, epe_nas, synflow, logsynflow,
        entropic_score, naswot, naswot_legacy, swap, swap_16, swap_reg, swap_reinit, l_swag, zico, gradsign, wrcor,
        meco, te_nas, te_nas_regions, zen, az_expressivity, az_progressivity, az_trainability,
    )
}  # fmt: skip
DRAWN = ("entropic_score", "swap_reinit", "zen", "az_expressivity", "az_progressivity", "az_trainability")
