"""The exam that a config sets: what every result row of it has in common."""

from datetime import UTC, datetime

from nap2.config import Config
from nap2.evaluation.judging.exam import HOLDOUT, SAMPLE, Exam, Floats
from nap2.provenance import commit, versions
from nap2.snapshots.manifest import Setting
from nap2.spaces import SPACES
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.stored import stands_in_for
from nap2.training.recipe import Recipe

CLASSES = "num_classes"


def exam_on(
    config: Config, truth: Floats, flavour: str = SAMPLE, protocol: str = HOLDOUT, split_seed: int | None = None
) -> Exam:
    """Candidates of these final accuracies `[A]`, from a split of this flavour, as the config describes them."""
    other = stands_in_for(config)
    return Exam(
        space=config.space.name,
        target=other or config.dataset.name,
        truth=truth,
        flavour=flavour,
        protocol=protocol,
        split_seed=split_seed,
        recipe=Recipe.from_dict(config.recipe).label,
        skeleton=other_sizes(setting_of(config)),
        label="imported" if config.labels == "truth" else "measured",
        stand_in=other is not None,
        versions=versions(),
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def other_sizes(setting: Setting) -> str:
    """In what a setting's networks differ from the published ones; the number of classes is the dataset's.

    Of a space that is not known here nothing can be said.
    """
    own = setting.skeleton
    published = SPACES[setting.space].default_skeleton if setting.space in SPACES else own
    return ", ".join(f"{name} {own[name]}" for name in sorted(own) if name != CLASSES and own[name] != published[name])
