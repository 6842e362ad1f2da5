"""What a ranking of architectures has found so far: an interrupted call goes on, and a second one trains nothing.

Models of a user's own are not kept: nothing tells whether the code behind a name is still the same.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nap2.errors import DataFileError
from nap2.evaluation.records.rows import append_lines
from nap2.inference import Ranking
from nap2.snapshots.manifest import canonical_json


class KeptRankings:
    """Predictions by architecture, in one file of JSON lines for each predictor, budget, recipe and set of images.

    Args:
        folder: of all such files.
        terms: whatever a prediction depends on beside the architecture, as JSON values.
    """

    def __init__(self, folder: Path, terms: Mapping[str, Any]) -> None:
        self.path = folder / f"{hashlib.sha256(canonical_json(terms).encode()).hexdigest()[:16]}.jsonl"

    def read(self) -> dict[str, Ranking]:
        """Where each architecture came out, by its arch string; empty where nothing is kept.

        Raises:
            DataFileError: if the file is damaged; a last line that was cut off does not count.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return {}
        try:
            contents = [json.loads(line) for line in lines]
            found = [Ranking(**{**content, "warnings": tuple(content["warnings"])}) for content in contents]
        except (ValueError, TypeError, LookupError) as error:
            raise DataFileError(f"{self.path} is damaged ({error}); delete it to rank again.") from error
        return {place.name: place for place in found}

    def add(self, place: Ranking) -> None:
        """Keep a prediction; a failure is left out, so that it is tried again."""
        if place.failure is None:
            append_lines(self.path, [asdict(place)])


def best_first(places: Iterable[Ranking]) -> list[Ranking]:
    """The ranks of networks that were trained one by one; what failed comes last."""
    found = sorted(
        places, key=lambda place: -1.0 if place.predicted_accuracy is None else place.predicted_accuracy, reverse=True
    )
    return [replace(place, rank=rank) for rank, place in enumerate(found, 1)]
