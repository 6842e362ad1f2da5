"""How many processes failed over a candidate that is not complete, counted beside its resumable state.

The count outlives the call of a campaign, so that candidates which kill their workers are told from bad luck even where
each call sees too few deaths of one candidate.
"""

from pathlib import Path

from nap2.snapshots.disk import explained, write_atomically

SETBACKS = "setbacks"
"""The file in a candidate's staging folder."""


def add_setback(staged: Path) -> int:
    """Note that a process failed over the candidate of a staging folder, be that its fault or not.

    Returns:
        How many did so far.

    Raises:
        StoreError: if the disk refuses.
    """
    file = staged / SETBACKS
    with explained(f"Noting a setback of candidate {staged.name}", file):
        so_far = file.read_text() if file.exists() else ""
        count = 1 + (int(so_far) if so_far.isdigit() else 0)
        write_atomically(file, str(count).encode())
    return count


def clear_setbacks(staged: Path) -> None:
    """Forget them: the candidate is complete, or was recorded as failed."""
    (staged / SETBACKS).unlink(missing_ok=True)
