"""stage=snapshot: train candidates for a while, look at them every so many steps, and store what was seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nap2.config import Config
from nap2.errors import CampaignError, ConfigError, counted, described
from nap2.snapshots.image_note import check_images
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.reader import refuse_set
from nap2.snapshots.store import SnapshotStore
from nap2.stages.campaign.image_fit import check_fit
from nap2.stages.campaign.local import run_local_campaign
from nap2.stages.campaign.plan import cut_short, plan_campaign
from nap2.stages.campaign.released import without_released
from nap2.stages.campaign.retries import tries_so_far
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.summary import CampaignSummary
from nap2.stages.campaign.training import make_train, trainer_parts
from nap2.stages.campaign.worker import Train, run_worker
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.command.parts import built
from nap2.stages.pool.candidates import batches_per_epoch, candidates_of, check_length, setting_of


def run(config: Config) -> int:
    """Train what is missing; a second identical call does nothing and says so. Returns 1 if a candidate failed."""
    candidates = candidates_of(config)
    if not candidates:
        return _nothing_in(config.snapshot.shard)
    check_length(config)
    device = check_device(config.trainer.device)
    options, root = config.snapshot, Path(config.paths.store)
    refuse_set(root, "give stage=snapshot a store to write to")
    if options.skip_released:
        candidates = _unreleased(config, candidates)
        if not candidates:
            if config.also and not options.plan:
                SnapshotStore.create(root, setting_of(config))  # which the next stages read as one with the set
            say("nothing is left to train.")
            return 0
    if options.plan:
        steps, retry = steps_to_the_end(config) if options.to_the_end else None, config.retry_failed
        asked = (root, candidates, options.num_snapshots, config.workers)
        say(plan_campaign(*asked, steps_to_the_end=steps, retry_failed=retry))
        return 0
    images = _fitting_images(config, candidates[0])  # refused before the store is touched
    store = SnapshotStore.create(root, setting_of(config))
    check_images(root, images)
    del images
    if note := cut_short(store, candidates):
        say(note)
    each = counted(options.num_snapshots, "snapshot")
    say(f"{counted(len(candidates), 'candidate')}, {each} each, into {root} ({device})")
    summary = _trained(config, store, candidates)
    say(summary.sentence())
    return summary.exit_code


def _unreleased(config: Config, candidates: list[Candidate]) -> list[Candidate]:
    options, folder = config.snapshot, Path(config.paths.checkpoints) / "snapshots"
    left, lines = without_released(folder, candidates, options.num_snapshots, options.to_the_end)
    for line in lines:
        say(line)
    return left


def _fitting_images(config: Config, candidate: Candidate) -> Any:
    """The config's image set.

    Raises:
        ConfigError, NetworkError, DataFileError: if it is missing, damaged, or not what the candidates or the config
            ask for.
    """
    images = built(trainer_parts(config)["reader"])
    check_fit(candidate, images, config.snapshot.num_snapshots)
    if config.dataset.num_train not in (None, len(images.train_labels)):
        raise ConfigError(
            f"dataset.num_train={config.dataset.num_train}, but {images.name} has {len(images.train_labels)} training "
            "images: sotl_e, lce, lc_pfn and plans count by it; correct it, or set it to null."
        )
    return images


def _trained(config: Config, store: SnapshotStore, candidates: Sequence[Candidate]) -> CampaignSummary:
    """By one worker in this process, or by several of their own."""
    options, parts, retry = config.snapshot, trainer_parts(config), config.retry_failed
    length, to_the_end = options.num_snapshots, options.to_the_end
    if config.workers == 1:
        with StopFlag.on_signals() as stop:
            train, tries = _train_here(parts), tries_so_far(store, retry)
            return run_worker(store, candidates, length, train, stop=stop, to_the_end=to_the_end, tries_before=tries)
    factory, logs = ("nap2.stages.campaign.training:make_train", parts), worker_logs(config)
    crew = (store.root, candidates, length, factory, config.workers, logs)
    return run_local_campaign(*crew, retry_failed=retry, to_the_end=to_the_end)


def _train_here(parts: dict[str, Any]) -> Train:
    """What trains in this process.

    Raises:
        CampaignError: if the GPU fails what is computed on it first.
    """
    try:
        return make_train(**parts)
    except RuntimeError as error:
        if parts["device"] == "cpu":
            raise
        raise CampaignError(
            f"Nothing can be computed on the GPU ({described(error)}); see by nvidia-smi who holds it, and call again "
            "when it is free."
        ) from error


def _nothing_in(shard: str) -> int:
    """A list shorter than the number of tasks leaves the last ones without work, which is no mistake.

    Raises:
        ConfigError: if even the first part is empty.
    """
    if shard.startswith("0/"):
        raise ConfigError("The config names no candidate; give a list (snapshot.candidates) that holds one.")
    say(f"Part {shard} of the list holds no candidate; nothing to do.")
    return 0


def steps_to_the_end(config: Config) -> int:
    """Optimizer steps of a whole run; images are read only where the config does not say how many there are."""
    epoch = batches_per_epoch(config)
    if epoch is None:
        parts, batch_size = trainer_parts(config), int(config.recipe["batch_size"])
        data = built(parts["images"], image_set=built(parts["reader"]), batch_size=batch_size, seed=0)
        epoch = int(data.batches_per_epoch)
    return int(config.recipe["epochs"]) * epoch


def worker_logs(config: Config) -> Path:
    """The folder of the workers' logs; tasks of an array get one each, for several nodes cannot append to one file."""
    folder, (index, _, count) = Path(config.paths.runs) / "logs", config.snapshot.shard.partition("/")
    return folder if count == "1" else folder / f"task-{index}"
