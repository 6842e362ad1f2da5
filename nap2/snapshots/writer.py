"""How a finished training run becomes a complete candidate of the store."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from nap2.errors import CorruptSnapshotError, StoreError
from nap2.schema import MAX_SNAPSHOTS
from nap2.snapshots import candidate_folder, shelf
from nap2.snapshots.claims import Claim
from nap2.snapshots.curve import Curve
from nap2.snapshots.disk import explained, make_durable, remove_folder, token
from nap2.snapshots.failures import clear_failure
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.setbacks import add_setback, clear_setbacks
from nap2.snapshots.trajectory import Trajectory

STATE = "state.pt"
"""The file of the resumable state in a candidate's staging folder."""


@dataclass
class CandidateWriter:
    """The right to write one candidate, for as long as its claim block lasts.

    Attributes:
        candidate: who it is.
        state_path: where training keeps its resumable state, one atomically replaced file; deleted when it finishes.
    """

    candidate: Candidate
    state_path: Path
    _root: Path
    _claim: Claim
    _replace: bool

    def finish(self, trajectory: Trajectory, curve: Curve, keep_state: bool = False, device: str = "cpu") -> None:
        """Make the candidate complete, in one step; shorter ones of the same candidate then disappear.

        They are of the same run: if one of them was trained further (to its end, with few snapshots), its losses and
        accuracies stand in the new one.

        Args:
            trajectory: the snapshots; their number names the folder.
            curve: what the run showed; `snapshot_accuracy` and `snapshot_seconds` have one entry per snapshot.
            keep_state: whether `state_path` stays, so that a longer request can go on from it.
            device: what trained it: a GPU's name, or `cpu`.

        Raises:
            StoreError: if they do not fit together, the disk refuses, or another worker took the claim over.
        """
        if trajectory.every != self.candidate.setting.every:
            every, expected = trajectory.every, self.candidate.setting.every
            raise StoreError(f"A trajectory taken every {every} steps cannot go into a store of every {expected}.")
        if len(trajectory) > MAX_SNAPSHOTS:
            raise StoreError(f"A store keeps at most {MAX_SNAPSHOTS} snapshots of a candidate, not {len(trajectory)}.")
        self._refuse_if_taken_over()
        staged = self._claim.folder / f"write-{token()}"
        try:
            with explained(f"Writing candidate {self.candidate.id}", staged):
                self._write(staged, trajectory, self._as_far_as_known(curve), device)
                clear_failure(self._root / "failed", self.candidate.id)
                clear_setbacks(self.state_path.parent)
        finally:
            with suppress(OSError):  # what matters was raised already
                remove_folder(staged, self._root / ".staging")
        self._claim.keep_folder = keep_state

    def _refuse_if_taken_over(self) -> None:
        if self.was_taken_over():
            raise StoreError(f"Candidate {self.candidate.id} was taken over by another worker; its result stands.")

    def was_taken_over(self) -> bool:
        """Whether the claim is lost: this process was suspended for minutes, and another one went on in its place."""
        return not self._claim.is_mine()

    def discard_state(self) -> None:
        """Forget the resumable state and the setbacks: the next try begins at step 0."""
        discard_state(self.state_path.parent)

    def add_setback(self) -> int:
        """Note that a process failed over this candidate, be that its fault or not; returns how many did so far."""
        return add_setback(self.state_path.parent)

    def _as_far_as_known(self, curve: Curve) -> Curve:
        before = shelf.find(self._root / "candidates", self.candidate.id)
        with suppress(CorruptSnapshotError):  # a damaged one goes, whatever it said
            if before is not None:
                known = candidate_folder.read_candidate(before)
                steps, epochs = (known.arrays[name].tolist() for name in ("train_loss", "epoch_accuracy"))
                return replace(
                    curve,
                    train_loss=max(curve.train_loss, steps, key=len),
                    epoch_accuracy=max(curve.epoch_accuracy, epochs, key=len),
                    final_accuracy=known.final_accuracy if curve.final_accuracy is None else curve.final_accuracy,
                )
        return curve

    def _write(self, staged: Path, trajectory: Trajectory, curve: Curve, device: str) -> None:
        tensors = {"values": trajectory.values, "units": trajectory.units, "counts": trajectory.counts}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        arrays |= candidate_folder.curve_arrays(curve)
        names, accuracy = trajectory.layer_names, curve.final_accuracy
        candidate_folder.write_candidate(staged, self.candidate, arrays, names, accuracy, device)
        make_durable(staged)
        self._refuse_if_taken_over()  # who took it over has removed what was written until then
        onto, trash = self._root / "candidates", self._root / ".staging"
        shelf.place(staged, onto, self.candidate.id, len(trajectory), trash, self._replace)


def discard_state(staged: Path) -> None:
    """Forget the resumable state and the setbacks in a staging folder."""
    (staged / STATE).unlink(missing_ok=True)
    clear_setbacks(staged)
