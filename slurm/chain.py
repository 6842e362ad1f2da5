"""The jobs of a campaign and of the stages after it, and which of them wait for which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("slurm")
STAGES = ("snapshot", "index", "cae", "embed", "predictor", "evaluate")
ON_GPU = {"snapshot", "cae", "embed", "predictor"}

GB_A_WORKER = 4
"""Of host memory: torch, the dataset as bytes, and on a CPU the activations of one network (batch 256) besides."""


@dataclass(frozen=True)
class Resources:
    """What a job asks the cluster for; see `python -m slurm.submit --help`."""

    partition: str | None = None
    cpu_partition: str | None = None
    account: str | None = None
    gres: str | None = None
    cpus: int | None = None
    mem: str | None = None
    time: str = "04:00:00"
    other: Sequence[str] = ()

    def options(self, on_gpu: bool, workers: int = 1) -> list[str]:
        """Options of `sbatch`; a job that does not compute on a GPU does not ask for one."""
        partition = self.partition if on_gpu else self.cpu_partition or self.partition
        named = {"partition": partition, "account": self.account, "gres": self.gres if on_gpu else None}
        named |= {"cpus-per-task": str(self.cpus or max(2, workers))}
        named |= {"mem": self.mem or f"{max(8, 2 + GB_A_WORKER * workers)}G", "time": self.time}
        return [f"--{name}={value}" for name, value in named.items() if value is not None] + list(self.other)


@dataclass(frozen=True)
class Job:
    """One call of `sbatch`.

    Attributes:
        name: of the job, `nap2-` put before it.
        script: in `slurm/`.
        options: of `sbatch`, for this job.
        arguments: of the script.
        after: names of the jobs it waits for.
        condition: `afterok`: they must have succeeded; `afterany`: they must have ended.
        why: the reason for that, in a few words.
    """

    name: str
    script: str
    options: list[str]
    arguments: list[str]
    after: tuple[str, ...] = ()
    condition: str = "afterok"
    why: str = ""

    def command(self, ids: Mapping[str, str]) -> list[str]:
        """The command line, given the ids of the jobs that were submitted before."""
        waits = [f"--dependency={self.condition}:{':'.join(ids[name] for name in self.after)}"] if self.after else []
        if waits:
            waits.append("--kill-on-invalid-dep=yes")  # a stage whose input failed is cancelled, not kept forever
        head = ["sbatch", "--parsable", f"--job-name=nap2-{self.name}", *waits, *self.options]
        return [*head, str(FOLDER / self.script), *self.arguments]


def chain(
    stages: Sequence[str], overrides: Sequence[str], tasks: int, at_most: int, resources: Resources, workers: int = 1
) -> list[Job]:
    """The jobs for some of the stages, in order; a stage waits for the last ones before it that are submitted too."""
    jobs: list[Job] = []
    before: tuple[str, ...] = ()
    for stage in (stage for stage in STAGES if stage in stages):
        options = resources.options(stage in ON_GPU, workers if stage == "snapshot" else 1)
        new = _jobs_of(stage, overrides, tasks, at_most, options, before)
        jobs += new
        before = tuple(job.name for job in new)
    return jobs


def _jobs_of(
    stage: str, overrides: Sequence[str], tasks: int, at_most: int, options: list[str], before: tuple[str, ...]
) -> list[Job]:
    if stage not in ON_GPU:
        overrides = _without_gpu(overrides)
    if stage == "snapshot":
        array = f"--array=0-{tasks - 1}%{min(at_most, tasks)}"
        why = f"{tasks} parts of the campaign, at most {min(at_most, tasks)} at a time"
        return [Job(stage, "snapshot.sbatch", [array, *options], [str(tasks), *overrides], why=why)]
    if stage == "cae":
        return [
            Job(
                f"cae-{modality}",
                "stage.sbatch",
                options,
                ["stage=cae", f"cae.modality={modality}", *overrides],
                before,
                _condition(before),
                f"the autoencoder of {modality}",
            )
            for modality in ("weights", "gradients")
        ]
    why = {
        "index": "verifies what is there; waits for the array's end, for one failed candidate must not stop the rest",
        "embed": "needs both encoders",
        "predictor": "needs all embeddings",
        "evaluate": "needs all predictors",
    }[stage]
    return [Job(stage, "stage.sbatch", options, [f"stage={stage}", *overrides], before, _condition(before), why)]


def _condition(before: tuple[str, ...]) -> str:
    """A failed candidate fails its array task, yet not the campaign; any other failed stage leaves nothing to read."""
    return "afterany" if before == ("snapshot",) else "afterok"


def _without_gpu(overrides: Sequence[str]) -> list[str]:
    return [*(text for text in overrides if not text.startswith(("trainer=", "trainer.device="))), "trainer=cpu"]
