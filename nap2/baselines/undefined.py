"""The error of a score that a network does not have."""

from nap2.errors import Nap2Error


class UndefinedScoreError(Nap2Error):
    """A score that has no value for this network and batch; the message becomes the failure of its row."""
