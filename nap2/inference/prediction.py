"""What a predictor says of one network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """A predicted accuracy, how far the ensemble is agreed on it, and what speaks against trusting it.

    Attributes:
        accuracy: fraction, the mean over the heads.
        spread: sample standard deviation over the heads, a fraction; None with a single head.
        warnings: one line each: where the trajectory lies outside what the predictor was trained on.
    """

    accuracy: float
    spread: float | None = None
    warnings: tuple[str, ...] = ()
