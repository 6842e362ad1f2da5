"""A trained predictor as users hold it: load it, show it the first snapshots of a training run, rank networks.

Needs torch and safetensors alone. A released predictor is one checkpoint folder; `components.py` says what it holds.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nap2.checkpoint import load_checkpoint, save_checkpoint
from nap2.errors import CheckpointError, check_name, kind_of
from nap2.inference.batches import Batch
from nap2.inference.components import (
    Heads,
    as_components,
    encoder_kinds,
    encoders_of,
    heads_of,
)
from nap2.inference.ensemble import Ensemble
from nap2.inference.lookup import find_checkpoint
from nap2.inference.prediction import Prediction
from nap2.inference.ranking import OnBatch, Query, Ranking, rank_models
from nap2.inference.refusals import check_budget, check_fits, check_seed, check_spec
from nap2.inference.scope import Remark, remarks
from nap2.inference.training_remarks import training_remarks
from nap2.models.bigru import BiGRUPredictor
from nap2.models.encoders import AnyEncoder
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import Recipe, recipe_named

KIND = "predictor"


class Predictor:
    """Predicts a network's final accuracy from the trajectory of its first mini-batches.

    An ensemble: every head was fitted on another order and seed of the training candidates (or other candidates); a
    prediction is their mean. The first use of a trajectory unlike the training runs is warned of, once per kind.

    Args:
        encoders: of weights and of gradients.
        heads: by modality: `both`, and where the checkpoint has them `gradients` or `weights` alone.
        spec: what `spec.json` says.

    Attributes:
        spec: recipe, dataset, versions, scope, …
        every: optimizer steps between two snapshots it was trained on.
        num_snapshots: snapshots it can read, K.
    """

    def __init__(self, encoders: tuple[AnyEncoder, AnyEncoder], heads: Heads, spec: Mapping[str, Any]) -> None:
        check_spec(spec)
        self.spec = dict(spec)
        self.every, self.num_snapshots = int(spec["every"]), int(spec["num_snapshots"])
        self._ensemble = Ensemble(encoders, heads)
        self._warned: set[str] = set()

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path) -> "Predictor":
        """Load a released predictor.

        Args:
            name_or_folder: a folder, or the name of one in `$NAP2_CHECKPOINTS` or in `checkpoints/` beside the package.

        Raises:
            CheckpointError: if it is missing, damaged, or no predictor.
            UnknownNameError: if no checkpoint has this name.
        """
        spec, tensors = load_checkpoint(find_checkpoint(name_or_folder), KIND)
        return cls.assemble(tensors, spec)

    @classmethod
    def assemble(cls, tensors: Mapping[str, Mapping[str, Tensor]], spec: Mapping[str, Any]) -> "Predictor":
        """Build a predictor from the state dicts of its components; the sizes are read off the tensors.

        Raises:
            CheckpointError: if a component is missing or of another shape, or the spec is incomplete.
        """
        check_spec(spec)
        return cls(encoders_of(tensors, spec), heads_of(tensors, spec), spec)

    def save(self, folder: Path | str, card: str, *, bits: int = 32, **spec: Any) -> None:
        """Write one checkpoint folder that `from_pretrained` loads.

        Args:
            folder: where to: one that is missing, empty, or holds a checkpoint, which is replaced.
            card: Markdown for people.
            bits: of the stored matrices: 32, 16, or 8 in the encoders and 16 in the heads; read back as float32.
            **spec: adds to what is known already.

        Raises:
            CheckpointError: if the spec is not JSON, or something else is there.
        """
        encoders = (self.weights_encoder, self.gradients_encoder)
        tensors, parts = as_components(encoders, self.heads, encoder_kinds(self.spec), bits)
        save_checkpoint(folder, tensors, {**self.spec, **spec, **parts, "kind": KIND}, card)

    def to(self, device: torch.device | str) -> "Predictor":
        """Move the networks; returns itself."""
        self._ensemble.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self._ensemble.device

    @property
    def weights_encoder(self) -> AnyEncoder:
        """The encoder of weights."""
        return self._ensemble.weights_encoder

    @property
    def gradients_encoder(self) -> AnyEncoder:
        """The encoder of gradients."""
        return self._ensemble.gradients_encoder

    @property
    def heads(self) -> dict[str, list[BiGRUPredictor]]:
        """The heads by modality."""
        return self._ensemble.heads

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it can read, by default the first: `both`, `gradients` or `weights` alone."""
        return tuple(self.heads)

    def predict(self, trajectory: Trajectory, modality: str | None = None) -> float:
        """The final accuracy, as a fraction, of the network behind a trajectory of 1..K snapshots.

        Args:
            trajectory: from a recorder or a store.
            modality: one of `modalities`; None means the first. Once per kind, a warning says what is unlike the
                training runs.

        Raises:
            CheckpointError: if the trajectory has more than K snapshots, none, or another interval.
            UnknownNameError: if there is no head of this modality.
        """
        return self.predict_many([trajectory], modality)[0]

    def predict_many(self, trajectories: Iterable[Trajectory], modality: str | None = None) -> list[float]:
        """`predict` for several trajectories at once, in their order."""
        modality, listed = self._known(modality), _listed(trajectories)
        accuracies = self._outputs(listed, modality).mean(1).tolist()
        for trajectory in listed:
            self._warn(self._remarks(trajectory, modality))
        return list(accuracies)

    def predict_with_spread(self, trajectory: Trajectory, modality: str | None = None) -> Prediction:
        """`predict` with the spread of the ensemble; what speaks against trusting it stands in the result."""
        modality = self._known(modality)
        (outputs,) = self._outputs([trajectory], modality)
        spread = float(outputs.std()) if len(outputs) > 1 else None
        found = tuple(remark.text for remark in self._remarks(trajectory, modality))
        return Prediction(float(outputs.mean()), spread, found)

    def recorder(self, model: nn.Module) -> SnapshotRecorder:
        """A recorder for a training loop of one's own: its trajectory is what this predictor reads, and no longer."""
        return SnapshotRecorder(model, self.every, self.num_snapshots)

    def embed(self, trajectory: Trajectory) -> Tensor:
        """Float32 `[T, D]`: the embedding of each snapshot, weights first; D is 256 with two CAE encoders."""
        self._check([trajectory])
        return self._ensemble.embed([trajectory])[0]

    def rank(
        self,
        models: Mapping[str, nn.Module],
        loader: Iterable[Batch],
        query_batches: int | None = None,
        recipe: str | Recipe | None = None,
        seed: int = 0,
        *,
        modality: str | None = None,
        on_batch: OnBatch | None = None,
    ) -> list[Ranking]:
        """Train a copy of each model for about 100 mini-batches and rank them by predicted accuracy.

        Args:
            models: by name, each giving logits `[B, classes]`; they are left untouched. A `DataParallel`,
                `DistributedDataParallel` or compiled wrapper is looked through: its copy is trained without it.
            loader: gives (inputs, class indices); read once per model, each sees the same batches in the same order.
            query_batches: mini-batches of each, `every` times 1 to K; None means `query_near(100)`.
            recipe: a `Recipe` or the name of one in `nap2.training.recipe.RECIPES`; None means the one that the
                predictor's own training candidates were trained with, which is the one to use (`nasbench201`, and a
                warning, where it does not say).
            seed: of the loader's order and of any randomness in training.
            modality: one of `modalities`; None means the first.
            on_batch: called after every mini-batch with the network's name and how many it has seen.

        Returns:
            Best first; models that failed or diverged come last, each with its reason. Each carries the warnings that
            concern it.

        Raises:
            CheckpointError: if `query_batches` does not fit the predictor, or `seed` is no whole number.
            ConfigError, UnknownNameError: if there is no such recipe or modality.
            NetworkError: if the loader is empty, fails, or gives other batches the second time, or `on_batch` fails.
        """
        asked = self.query_near(100) if query_batches is None else query_batches
        num_batches = check_budget(asked, self.every, self.num_snapshots)
        modality, used = self._known(modality), recipe_named(recipe, self.own_recipe)
        query = Query(loader, num_batches, used, self.every, check_seed(seed), on_batch)
        doubts = partial(
            training_remarks, own=self.own_recipe, modality=modality, has_gradients_alone="gradients" in self.heads
        )
        return rank_models(partial(self.predict_with_spread, modality=modality), models, query, doubts)

    def query_near(self, num_batches: int) -> int:
        """The number of mini-batches nearest to this one that ends with a snapshot, within what it reads."""
        return self.every * min(max(round(num_batches / self.every), 1), self.num_snapshots)

    @property
    def own_recipe(self) -> Recipe | None:
        """How the candidates that it was fitted on were trained, where the spec says so."""
        values = self.spec.get("setting", {}).get("recipe")
        return None if values is None else Recipe.from_dict(values)

    def _known(self, modality: str | None) -> str:
        if modality is None:
            return self.modalities[0]
        check_name("modality of this predictor", modality, self.modalities)
        return modality

    def _outputs(self, trajectories: Sequence[Trajectory], modality: str) -> Tensor:
        """Float32 `[A, H]`: what each head says of each trajectory."""
        self._check(trajectories)
        return self._ensemble.outputs(trajectories, modality)

    def _check(self, trajectories: Sequence[Trajectory]) -> None:
        for trajectory in trajectories:
            check_fits(trajectory, self.every, self.num_snapshots)

    def _remarks(self, trajectory: Trajectory, modality: str) -> list[Remark]:
        return remarks(trajectory, self.spec.get("scope", {}), modality, "gradients" in self.heads)

    def _warn(self, found: Sequence[Remark]) -> None:
        for remark in found:
            if remark.kind not in self._warned:
                self._warned.add(remark.kind)
                warnings.warn(f"Unlike what the predictor was trained on: {remark.text}.", stacklevel=4)


def _listed(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """All of them, also those of a generator.

    Raises:
        CheckpointError: if there is one trajectory instead of several, or something else.
    """
    if isinstance(trajectories, Trajectory) or not isinstance(trajectories, Iterable):
        raise CheckpointError(
            f"predict_many reads a list of trajectories, not {kind_of(trajectories)}; predict reads one."
        )
    return list(trajectories)
