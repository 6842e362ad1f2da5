"""A trained predictor as users hold it: load it, show it the first snapshots of a training run, rank networks.

Needs torch and safetensors alone. A released predictor is one checkpoint folder with three components: the two encoders
(`weights_encoder`, `gradients_encoder`) and the `predictor`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nap2.checkpoint import load_checkpoint, load_into, save_checkpoint
from nap2.errors import CheckpointError, UnknownNameError
from nap2.inference.ranking import Batch, Ranking, rank_models
from nap2.models.bigru import BiGRUPredictor
from nap2.models.cae import Encoder
from nap2.models.encode import encode_trajectories
from nap2.snapshots.trajectory import Trajectory

KIND = "predictor"
COMPONENTS = ("weights_encoder", "gradients_encoder", "predictor")
VARIABLE = "NAP2_CHECKPOINTS"
BESIDE = Path(__file__).resolve().parents[2] / "checkpoints"


class Predictor:
    """Predicts a network's final accuracy from the trajectory of its first mini-batches.

    Attributes:
        spec: what `spec.json` says: recipe, dataset, versions, …
        every: optimizer steps between two snapshots it was trained on.
        num_snapshots: snapshots it can read, K.
    """

    def __init__(self, encoders: tuple[Encoder, Encoder], net: BiGRUPredictor, spec: Mapping[str, Any]) -> None:
        for key in ("every", "num_snapshots"):
            if not isinstance(spec.get(key), int) or spec[key] < 1:
                raise CheckpointError(
                    f"The spec of a predictor needs {key!r}, a whole number from 1, and holds {spec.get(key)!r}."
                )
        self.spec = dict(spec)
        self.every, self.num_snapshots = int(spec["every"]), int(spec["num_snapshots"])
        self.weights_encoder, self.gradients_encoder = (encoder.eval() for encoder in encoders)
        self.net = net.eval()

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path) -> "Predictor":
        """Load a released predictor.

        Args:
            name_or_folder: a folder, or the name of one in `$NAP2_CHECKPOINTS` or in `checkpoints/` beside the package.

        Raises:
            CheckpointError: if it is missing, damaged, or no predictor.
            UnknownNameError: if no checkpoint has this name.
        """
        folder = _find(name_or_folder)
        spec, tensors = load_checkpoint(folder, KIND)
        return cls.assemble(tensors, spec)

    @classmethod
    def assemble(cls, tensors: Mapping[str, Mapping[str, Tensor]], spec: Mapping[str, Any]) -> "Predictor":
        """Build a predictor from the state dicts of its three components; the sizes are read off the tensors.

        Raises:
            CheckpointError: if a component is missing or of another shape, or the spec is incomplete.
        """
        if absent := [name for name in COMPONENTS if name not in tensors]:
            raise CheckpointError(
                f"A predictor needs the components {', '.join(COMPONENTS)}; this checkpoint lacks {', '.join(absent)}."
            )
        with torch.device("meta"):  # no initial values, as all are replaced
            encoders, net = (Encoder(), Encoder()), _empty_net(tensors["predictor"])
        for encoder, name in zip(encoders, COMPONENTS, strict=False):
            load_into(encoder, tensors[name], name)
        load_into(net, tensors["predictor"], "predictor")
        return cls(encoders, net, spec)

    def save(self, folder: Path | str, card: str, **spec: Any) -> None:
        """Write one checkpoint folder that `from_pretrained` loads; `spec` adds to what is known already.

        Raises:
            CheckpointError: if the spec is not JSON.
        """
        nets = (self.weights_encoder, self.gradients_encoder, self.net)
        tensors = {name: net.state_dict() for name, net in zip(COMPONENTS, nets, strict=True)}
        save_checkpoint(folder, tensors, {**self.spec, **spec, "kind": KIND}, card)

    def to(self, device: torch.device | str) -> "Predictor":
        """Move the networks; returns itself."""
        for net in (self.weights_encoder, self.gradients_encoder, self.net):
            net.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.net.dense2.weight.device

    def predict(self, trajectory: Trajectory) -> float:
        """The final accuracy, as a fraction, of the network behind a trajectory of 1..K snapshots.

        Raises:
            CheckpointError: if the trajectory has more than K snapshots, none, or another interval.
        """
        return self.predict_many([trajectory])[0]

    def predict_many(self, trajectories: Sequence[Trajectory]) -> list[float]:
        """`predict` for several trajectories at once, in their order."""
        if not trajectories:
            return []
        embeddings = self._embed(trajectories)
        lengths = torch.tensor([len(embedding) for embedding in embeddings])
        padded = nn.utils.rnn.pad_sequence(embeddings, batch_first=True).to(self.device)
        with torch.no_grad():
            predicted: list[float] = self.net(padded, lengths).tolist()
        return predicted

    def embed(self, trajectory: Trajectory) -> Tensor:
        """Float32 `[T, 256]`: the embedding of each snapshot, weights first."""
        return self._embed([trajectory])[0]

    def rank(
        self,
        models: Mapping[str, nn.Module],
        loader: Iterable[Batch],
        query_batches: int = 100,
        recipe: str = "nasbench201",
        seed: int = 0,
    ) -> list[Ranking]:
        """Train a copy of each model for `query_batches` mini-batches and rank them by predicted accuracy.

        Args:
            models: by name; they are left untouched.
            loader: gives (inputs, targets); read once per model, every model sees the same batches in the same order.
            query_batches: from `every` to `every * K`.
            recipe: a name in `nap2.training.recipe.RECIPES`; use the one the predictor was fitted under.
            seed: of the loader's order and of any randomness in training.

        Returns:
            Best first; models that failed or diverged come last, each with its reason.

        Raises:
            CheckpointError: if `query_batches` does not fit the predictor.
            UnknownNameError: if there is no such recipe.
            NetworkError: if the loader is empty, or gives other batches the second time.
        """
        most = self.every * self.num_snapshots
        if not self.every <= query_batches <= most:
            raise CheckpointError(
                f"Asked to rank after {query_batches} mini-batches, but this predictor reads {self.every} to {most}; "
                f"use query_batches={min(max(query_batches, self.every), most)}."
            )
        return rank_models(self.predict, models, loader, query_batches, recipe, self.every, seed)

    def _embed(self, trajectories: Sequence[Trajectory]) -> list[Tensor]:
        for trajectory in trajectories:
            self._check(trajectory)
        return encode_trajectories(self.weights_encoder, self.gradients_encoder, trajectories, self.device)

    def _check(self, trajectory: Trajectory) -> None:
        if trajectory.every != self.every:
            raise CheckpointError(
                f"This predictor reads a snapshot every {self.every} steps, the trajectory has one every "
                f"{trajectory.every}; record it with every={self.every}."
            )
        if not 1 <= len(trajectory) <= self.num_snapshots:
            raise CheckpointError(
                f"This predictor reads 1 to {self.num_snapshots} snapshots, the trajectory holds {len(trajectory)}; "
                f"pass trajectory.first({self.num_snapshots}) or record at least one."
            )


def _find(name_or_folder: str | Path) -> Path:
    places = [Path(place) for place in (os.environ.get(VARIABLE), BESIDE) if place]
    if isinstance(name_or_folder, str) and Path(name_or_folder).name == name_or_folder:
        for place in places:
            if (place / name_or_folder / "spec.json").is_file():
                return place / name_or_folder
        if not Path(name_or_folder).is_dir():
            known = [folder.parent.name for place in places for folder in place.glob("*/spec.json")]
            raise UnknownNameError(f"checkpoint in {' or '.join(map(str, places))}", name_or_folder, known)
    return Path(name_or_folder)


def _empty_net(state: Mapping[str, Tensor]) -> BiGRUPredictor:
    """A predictor of the size of these tensors."""
    try:
        hidden, input_size = state["gru.weight_hh_l0"].shape[1], state["gru.weight_ih_l0"].shape[1]
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"The checkpoint of predictor lacks the tensors of its GRU ({error}).") from error
    layers = sum(name.startswith("gru.weight_hh_l") and not name.endswith("_reverse") for name in state)
    return BiGRUPredictor(input_size=input_size, hidden=hidden, layers=layers)
