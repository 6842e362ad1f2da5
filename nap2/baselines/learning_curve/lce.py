"""Learning-curve extrapolation: parametric curves fitted to the accuracies so far, mixed, and read at the end.

The method that White et al. 2021 call LCE, after Domhan et al. 2015. Its four families are three shapes: the log power
law and the three-parameter Hill curve are one curve written in two ways, so that this curve has half of the weight.
"""

import numpy as np
from scipy.optimize import leastsq
from scipy.special import expit, logit

from nap2.baselines.learning_curve.observed import Floats
from nap2.baselines.undefined import UndefinedScoreError
from nap2.seeding import seed_from

MIN_POINTS = 5
"""One more than the largest family has parameters: through fewer points a curve passes exactly, and the likelihood,
which grows without bound as the noise shrinks, has no maximum."""

WEIGHTS = (0.25, 0.5, 0.25)
"""Of the log-log line, of the log power law and the Hill curve together, and of Morgan, Mercer and Flodin's."""

NUM_STATES, STEP = 300, 1e-4
"""Of the Metropolis chain: its length, and the standard deviation of a step in every coordinate."""

LEAST_VARIANCE = 1e-12
"""Of the noise about the mixture, so that a curve which it meets exactly has a likelihood."""


def extrapolate(accuracies: Floats, end: float) -> float:
    """Predicted accuracy at the end of a training, from its beginning.

    Each family is fitted by maximum likelihood under Gaussian noise. A Metropolis chain starts at their mixture and
    moves parameters, weights and the variance of the noise; the prediction is the mean over its states. Steps are as
    small as in the published code, so it stays near the fit. Asymptotes lie in [0, 1], as accuracies do.

    Args:
        accuracies: `[T]`, fractions, at places 1..T.
        end: place of the end of the training.

    Returns:
        The accuracy, which depends on these two alone; it may lie somewhat beyond [0, 1].

    Raises:
        UndefinedScoreError: fewer points than can be fitted, or one that is not finite.
    """
    if accuracies.size < MIN_POINTS:
        raise UndefinedScoreError(f"{accuracies.size} validation accuracies are fewer than the {MIN_POINTS} to fit")
    broken = np.flatnonzero(~np.isfinite(accuracies))
    if broken.size:
        raise UndefinedScoreError(f"the validation accuracy of snapshot {broken[0] + 1} is not finite")
    states = _chain(_fit(accuracies), accuracies, seed_from("lce", accuracies.tolist(), end))
    return float(_mixture(states.T, np.log(end)).mean())


def log_log_line(ln_x: Floats, start: Floats, root: Floats) -> Floats:
    """`ln(a ln x + b)`: `a = root²`; its value at 1, `ln b`, is `expit(start)`."""
    curve: Floats = np.log(root * root * ln_x + np.exp(expit(start)))
    return curve


def hill(ln_x: Floats, top: Floats, rate: Floats, middle: Floats) -> Floats:
    """`y x^η / (κ^η + x^η)`, or `a / (1 + (x / e^b)^c)`: y = a = `expit(top)`, η = −c = `rate`, ln κ = b = `middle`."""
    curve: Floats = expit(top) * expit(rate * (ln_x - middle))
    return curve


def mmf(ln_x: Floats, top: Floats, bottom: Floats, rate: Floats, middle: Floats) -> Floats:
    """`α − (α − β) / (1 + (κ x)^δ)`: α and β are `expit` of `top` and `bottom`, δ = `rate`, ln κ = −`middle`."""
    curve: Floats = expit(bottom) + (expit(top) - expit(bottom)) * expit(rate * (ln_x - middle))
    return curve


def _fit(accuracies: Floats) -> Floats:
    """The parameters of all families, one after the other; under Gaussian noise the likeliest curve is the nearest."""
    ln_x = np.log(np.arange(1.0, accuracies.size + 1))
    first, last = np.clip(accuracies[[0, -1]], 0.01, 0.99)
    top, middle = logit((1.0 + last) / 2), ln_x[-1] / 2
    begin = ((log_log_line, (logit(first), 0.3)), (hill, (top, 1.0, middle)), (mmf, (top, logit(first), 1.0, middle)))
    return np.concatenate(
        [leastsq(lambda p, f=family: f(ln_x, *p) - accuracies, start, full_output=True)[0] for family, start in begin]
    )


def _mixture(state: Floats, ln_x: Floats) -> Floats:
    """The mixture under a state `[13]`, or under many `[13, N]` at one place."""
    line, one, two = log_log_line(ln_x, *state[:2]), hill(ln_x, *state[2:5]), mmf(ln_x, *state[5:9])
    mixed: Floats = state[9] * line + state[10] * one + state[11] * two
    return mixed


def _chain(fitted: Floats, accuracies: Floats, seed: int) -> Floats:
    """States `[N, 13]`: parameters, weights, variance. Only mixtures that rise over the curve are moved to."""
    ln_x = np.log(np.arange(1.0, accuracies.size + 2))
    draws = np.random.default_rng(seed)
    steps, chances = draws.normal(0.0, STEP, (NUM_STATES, 13)), np.log(draws.uniform(size=NUM_STATES))
    state = np.array([*fitted, *WEIGHTS, 1.0])
    state[-1] = max(np.square(_mixture(state, ln_x)[:-1] - accuracies).mean(), LEAST_VARIANCE)
    likelihood, _ = _judge(state, ln_x, accuracies)
    states = []
    for step, chance in zip(steps, chances, strict=True):
        states.append(state)
        proposed = state + step
        if proposed[-1] < LEAST_VARIANCE:
            continue
        likelihood_there, rises = _judge(proposed, ln_x, accuracies)
        if rises and chance < likelihood_there - likelihood:
            state, likelihood = proposed, likelihood_there
    return np.stack(states)


def _judge(state: Floats, ln_x: Floats, accuracies: Floats) -> tuple[float, bool]:
    """Log-likelihood up to a constant, and whether the mixture is higher one place beyond the curve than at place 1."""
    mixed, variance = _mixture(state, ln_x), state[-1]
    error = np.square(mixed[:-1] - accuracies).sum()
    return float(-0.5 * (accuracies.size * np.log(variance) + error / variance)), bool(mixed[-1] > mixed[0])
