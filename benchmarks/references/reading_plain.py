"""Feature maps read the obvious way: open the candidate for each map, read the snapshot, pad it layer by layer."""

from pathlib import Path

import numpy as np
import torch
import zarr
from torch import Tensor
from torch.utils.data import Dataset

NUM_SCALARS, LAYERS, VALUES, STATISTICS = 11, 65, 100, 12


class PlainMaps(Dataset[Tensor]):
    """One log-normalised map `[12, 65, 100]` of one modality per (candidate, snapshot)."""

    def __init__(self, folders: list[Path], num_snapshots: int, modality_index: int) -> None:
        self.folders, self.num_snapshots, self.modality_index = folders, num_snapshots, modality_index

    def __len__(self) -> int:
        return len(self.folders) * self.num_snapshots

    def __getitem__(self, index: int) -> Tensor:
        candidate, snapshot = divmod(index, self.num_snapshots)
        group = zarr.open_group(str(self.folders[candidate]), mode="r")
        values, units = group["values"][snapshot, self.modality_index], group["units"][:]
        dense, start = np.zeros((STATISTICS, LAYERS, VALUES), dtype=np.float32), 0
        for layer, layer_units in enumerate(units):
            places = 1 + min(layer_units, 99)
            for statistic in range(NUM_SCALARS):
                dense[statistic, layer, :places] = values[start : start + places]
                start += places
            places = 5 * (1 + min(layer_units, 19))
            dense[NUM_SCALARS, layer, :places] = values[start : start + places]
            start += places
        return torch.from_numpy(np.sign(dense) * np.log1p(np.abs(dense)))
