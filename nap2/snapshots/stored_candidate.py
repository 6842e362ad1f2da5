"""One candidate as tensors: what every stage behind the store works with."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nap2.snapshots.candidate_folder import CURVE_ARRAYS, CandidateRecord
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.trajectory import Trajectory


@dataclass(frozen=True)
class StoredCandidate:
    """One candidate as it was stored, every byte checked."""

    candidate: Candidate
    trajectory: Trajectory
    curve: Curve
    versions: Mapping[str, str]

    @classmethod
    def of(cls, record: CandidateRecord) -> "StoredCandidate":
        """The same as tensors and lists."""
        arrays = {name: torch.from_numpy(array) for name, array in record.arrays.items()}
        every, names = record.candidate.setting.every, record.layer_names
        trajectory = Trajectory(arrays["values"], arrays["units"], every, arrays["counts"], names)
        lists = {name: record.arrays[name].tolist() for name in CURVE_ARRAYS}
        return cls(record.candidate, trajectory, Curve(**lists, final_accuracy=record.final_accuracy), record.versions)
