"""Scores of how differently a network treats the images of a batch: activation patterns, Jacobians, kernels."""

import math

import torch
from torch import Tensor

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.batch_run import InputGradient
from nap2.baselines.zero_cost.gradients import SINGLE_IMAGES
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy

JACOBIAN_EPSILON = 1e-5  # k of the published code, in both Jacobian scores
MANY_CLASSES = 100  # from here on EPE-NAS compares classes in pairs
WRCOR_RIDGE = 1e-6  # of the mean diagonal, so that equal images leave a finite determinant
_TE_NAS = "Chen et al. 2021 (arXiv:2102.11535)"


def jacob_cov(passes: Passes) -> float:
    """Minus the sum over eigenvalues v of the images' Jacobian correlations of log(v + k) + 1 / (v + k)."""
    correlations = _row_correlations(passes[Pass.INPUT_GRADIENT].jacobian.flatten(1).double())
    shifted = torch.linalg.eigvalsh(correlations) + JACOBIAN_EPSILON
    return -float((shifted.log() + 1.0 / shifted).sum())


def epe_nas(passes: Passes) -> float:
    """Sum over classes of |sum over entries of log(|correlation of the Jacobians| + k)|."""
    found: InputGradient = passes[Pass.INPUT_GRADIENT]
    jacobian, has_many = found.jacobian.flatten(1).double(), found.num_classes > MANY_CLASSES
    targets, scores = passes.bench.targets, {}
    for label in sorted(set(targets.tolist())):
        rows = jacobian[targets == label]
        total = float((_row_correlations(rows).abs() + JACOBIAN_EPSILON).log().sum())
        scores[label] = total / len(rows) if has_many else total
    if not has_many:
        return sum(abs(score) for score in scores.values())
    values = list(scores.values())
    return sum(abs(a - b) for i, a in enumerate(values) for b in values[i + 1 :]) / len(values)


def wrcor(passes: Passes) -> float:
    """log det of the sum over ReLUs of 2^depth times |correlations| of their inputs and of their gradients."""
    by_depth: dict[int, Tensor] = passes[Pass.CORRELATIONS]
    deepest = max(by_depth)
    total = torch.stack([correlations * 2.0 ** (depth - deepest) for depth, correlations in by_depth.items()]).sum(0)
    size = len(total)
    ridge = WRCOR_RIDGE * total.diagonal().mean()
    logdet = torch.linalg.slogdet(total + ridge * torch.eye(size).to(total)).logabsdet
    return float(logdet) + size * deepest * math.log(2.0)


def meco(passes: Passes) -> float:
    """Sum over leaf modules of the smallest eigenvalue of the correlations between the channels of one image."""
    by_size: dict[int, list[Tensor]] = {}
    for correlations in passes[Pass.FIRST_IMAGE]:
        by_size.setdefault(len(correlations), []).append(correlations)
    return sum(float(torch.linalg.eigvalsh(torch.stack(found).double())[:, 0].sum()) for found in by_size.values())


def te_nas(passes: Passes) -> float:
    """Largest over smallest eigenvalue of the neural tangent kernel."""
    kernel: Tensor = passes[Pass.TANGENT_KERNEL]
    eigenvalues = torch.linalg.eigvalsh(kernel)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if not smallest > torch.finfo(passes.bench.dtype).eps * largest:
        raise UndefinedScoreError("the tangent kernel is singular to working precision")
    return largest / smallest


def _row_correlations(rows: Tensor) -> Tensor:
    """Pearson correlations between rows, float64 `[n, n]`; a row alone correlates with itself."""
    centred = rows - rows.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        raise UndefinedScoreError("an image has a constant Jacobian: its logits do not depend on it")
    centred = centred / norms
    correlations: Tensor = centred @ centred.t()
    return correlations


JACOB_COV = Proxy(
    name="jacob_cov",
    definition="−Σ (log(v + k) + 1/(v + k)) over eigenvalues v of the correlations of ∂Σlogits/∂x, k = 1e-5",
    needs=frozenset({Pass.INPUT_GRADIENT}),
    score=jacob_cov,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Mellor et al. 2020 (arXiv:2006.04647v1)",
)
EPE_NAS = Proxy(
    name="epe_nas",
    definition="Σ over classes |Σ log(|correlation of ∂Σlogits/∂x| + 1e-5)|; in pairs of classes above 100 of them",
    needs=frozenset({Pass.INPUT_GRADIENT}),
    score=epe_nas,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Lopes et al. 2021 (arXiv:2102.08099)",
)
WRCOR = Proxy(
    name="wrcor",
    definition="log det of Σ over ReLUs 2^depth |correlations between images| of inputs and gradients, ridge 1e-6",
    needs=frozenset({Pass.CORRELATIONS}),
    score=wrcor,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Jing et al. 2025 (arXiv:2507.08841)",
)
MECO = Proxy(
    name="meco",
    definition="Σ over leaf modules of the smallest eigenvalue of the correlations between channels, first image",
    needs=frozenset({Pass.FIRST_IMAGE}),
    score=meco,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Jiang et al. 2023 (MeCo, NeurIPS)",
)
TE_NAS = Proxy(
    name="te_nas",
    definition="λ_max / λ_min of the tangent kernel of the summed logits of the first 16 images",
    needs=frozenset({Pass.TANGENT_KERNEL}),
    score=te_nas,
    higher_is_better=False,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_TE_NAS,
    images=SINGLE_IMAGES,
)
