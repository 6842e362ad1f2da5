"""Submit a campaign, and the stages that follow it, to a Slurm cluster.

python -m slurm.submit experiment=nb201_cifar10 trainer=gpu --tasks 32 --at-most 8 --gres gpu:1 --partition gtx1080
python -m slurm.submit … --dry-run            print the commands, submit nothing
python -m slurm.submit … --stages snapshot    only this stage (again): what is complete is not trained twice
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nap2.config import Config
from nap2.errors import CampaignError, Nap2Error
from nap2.stages.campaign.released import refuse_unread
from nap2.stages.command.compose import compose_config, refuse_launcher
from nap2.stages.command.console import say
from nap2.stages.pool.candidates import candidates_of, check_length
from slurm.chain import STAGES, Job, Resources, chain

LOGS = Path("runs/slurm")


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code (2: refused)."""
    options, overrides = _parse(arguments)
    try:
        config = _checked(overrides, options.gres)
        if "snapshot" in options.stages and config.snapshot.candidates:
            candidates_of(config)  # a missing or damaged list; a draw from a large space takes minutes
        if options.stages != ["snapshot"]:
            refuse_unread(config)
        resources = Resources(
            options.partition,
            options.cpu_partition,
            options.account,
            options.gres,
            options.cpus,
            options.mem,
            options.time,
            options.sbatch,
        )
        jobs = chain(options.stages, overrides, options.tasks, options.at_most, resources, config.workers)
        if options.dry_run:
            submit(jobs, _printed)
        else:
            _check_cluster()
            _check_labels(config, jobs)
            _check_logs()
            submit(jobs, _submitted)
    except Nap2Error as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def submit(jobs: Sequence[Job], run: Callable[[Job, list[str]], str]) -> dict[str, str]:
    """Hand each job to `run(job, command)` in order; the ids it returns go into the dependencies of later ones."""
    ids: dict[str, str] = {}
    for job in jobs:
        try:
            ids[job.name] = run(job, job.command(ids))
        except CampaignError as error:
            if not ids:
                raise
            advice = f"`scancel {' '.join(ids.values())}` takes back what was submitted before it"
            raise CampaignError(f"{error} {advice}.") from error
    return ids


def _printed(job: Job, command: list[str]) -> str:
    say(f"# {job.why}")
    say(shlex.join(command))
    return f"{{{job.name}}}"


def _submitted(job: Job, command: list[str]) -> str:
    # The job computes with the Python that submits it, wherever that lies; sbatch hands the environment on.
    environment = {"NAP2_PYTHON": sys.executable, **os.environ}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        reason = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
        raise CampaignError(f"Slurm refused {job.name}: {reason.rstrip('.')}.")
    id = result.stdout.strip().split(";")[0]  # `id;cluster` where there are several clusters
    say(f"{id}  {job.name:<14} {job.why}")
    return id


def _checked(overrides: Sequence[str], gres: str | None) -> Config:
    """The config of these values. A typing error costs a second here, and a night in the queue otherwise."""
    for text in overrides:
        if "=" not in text:
            raise CampaignError(f"{text!r} cannot be read as key=value; options such as --tasks begin with two dashes.")
        if text.partition("=")[0] in ("stage", "snapshot.shard", "cae.modality"):
            raise CampaignError(f"{text} is for the submitter to set; choose stages with --stages.")
    refuse_launcher(overrides)
    _, config = compose_config(["stage=snapshot", *overrides])
    check_length(config)
    if config.snapshot.plan:
        raise CampaignError("snapshot.plan=true only prints; ask `python train.py stage=snapshot …` for it, here.")
    is_cuda = config.trainer.device.startswith("cuda")
    if is_cuda and gres is None:
        raise CampaignError(
            "trainer.device=cuda, but no GPU is asked for; add --gres gpu:1 (or your cluster's name of it)."
        )
    if gres is not None and not is_cuda:
        raise CampaignError(
            f"--gres {gres} would stand idle, for trainer.device={config.trainer.device}; add trainer=gpu."
        )
    return config


def _check_cluster() -> None:
    if shutil.which("sbatch") is None:
        raise CampaignError(
            "sbatch is not installed here; log in to a submit host of your cluster, "
            "see the commands with --dry-run, or train on this machine with `python train.py stage=snapshot workers=N`."
        )
    if not Path("train.py").is_file():
        raise CampaignError(f"train.py is not in {Path.cwd()}; submit from the folder of the checkout.")


def _check_logs() -> None:
    """Slurm fails a job whose log it cannot write, and says so nowhere."""
    reason = "it is not writable"
    try:
        LOGS.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
    if not os.access(LOGS, os.W_OK | os.X_OK):
        raise CampaignError(f"Slurm is to write the jobs' logs to {LOGS.absolute()}, but {reason}; correct that first.")


def _check_labels(config: Config, jobs: Sequence[Job]) -> None:
    """Without labels the first autoencoder would fail once the snapshots are there, and all after it be cancelled."""
    table = Path(config.paths.truth) / f"{config.space.name}.h5"
    names = [job.name for job in jobs if job.name not in ("snapshot", "index")]
    if names and config.labels == "truth" and not table.is_file():
        raise CampaignError(
            f"{names[0]} needs published accuracies, but there is no {table}; import them with stage=truth, "
            "or submit --stages snapshot index alone."
        )


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m slurm.submit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Everything of the form key=value is passed on to train.py.",
    )
    parser.add_argument("--tasks", type=_positive, default=16, help="parts the campaign is cut into (default 16)")
    parser.add_argument("--at-most", type=_positive, default=8, help="tasks that run at the same time (default 8)")
    which = f"which of {', '.join(STAGES)} (default all)"
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE", help=which)
    parser.add_argument("--partition", help="as in sbatch (default: the cluster's)")
    parser.add_argument(
        "--cpu-partition", help="for jobs that need no GPU, where --partition refuses such (default: it)"
    )
    parser.add_argument("--account", help="as in sbatch")
    parser.add_argument("--gres", help="what a task needs on a GPU, e.g. gpu:1 or gpu:gtx_1080:1 (default: no GPU)")
    parser.add_argument("--cpus", type=_positive, help="cores a job (default 2; a snapshot task: one a worker)")
    parser.add_argument("--mem", help="memory a job (default 8G; a snapshot task: 2 GB and 4 a worker if that is more)")
    parser.add_argument("--time", default="04:00:00", help="time limit a job; jobs go on after it (default 4 hours)")
    parser.add_argument(
        "--sbatch", action="append", default=[], metavar="OPTION", help="any other option, e.g. --sbatch=--qos=low"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, submit nothing")
    if not arguments:
        parser.error("nothing is submitted without a word; name at least an experiment, e.g. experiment=nb201_cifar10")
    values = [text for text in arguments if "=" in text and not text.startswith("-")]
    # Taken out first: `--stages snapshot experiment=digits` would take them for stages.
    options, rest = parser.parse_known_args([text for text in arguments if text not in values])
    unknown = [text for text in rest if text.startswith("-")]
    if unknown:
        parser.error(f"unknown option {unknown[0]}")
    return options, [*rest, *values]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
