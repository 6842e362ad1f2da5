"""stage=proxies: score untrained networks with every zero-cost proxy, and hold them against the truth."""

from pathlib import Path

from nap2.baselines import PROXIES
from nap2.config import Config
from nap2.errors import check_name, counted
from nap2.snapshots.image_note import check_scored_images
from nap2.stages.campaign.training import trainer_parts
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.command.parts import built
from nap2.stages.scores.proxy_report import write_report
from nap2.stages.scores.proxy_scores import ScoringJob, score_all
from nap2.stages.scores.score_file import read_scores
from nap2.stages.scores.score_table import write_score_table
from nap2.stages.scores.to_score import FEWEST, candidates_with_labels, scores_file, tasks_of


def run(config: Config) -> int:
    """Score what is missing; then all scores, and rows, table and plot over the networks whose accuracy is known."""
    check_device(config.trainer.device)
    options = config.proxies
    for name in options.names or ():
        check_name("proxy (proxies.names)", name, PROXIES)
    architectures, accuracy = candidates_with_labels(config)
    names = tuple(options.names or PROXIES)
    tasks = tasks_of(config, architectures)
    folder = Path(config.paths.runs) / "proxies"
    path = folder / scores_file(config)
    check_scored_images(path, built(trainer_parts(config)["reader"]))
    missing = read_scores(path, tasks, names).missing()
    say(
        f"{counted(len(architectures), 'network')} × {counted(len(options.seeds), 'seed')} × "
        f"{counted(options.batches, 'batch', 'batches')}, into {path}: "
        f"{len(tasks) - len(missing)} scored before, {len(missing)} to do"
    )
    known = sum(name in accuracy for name in architectures)
    if known < FEWEST:
        say(f"{known} of them have a known accuracy, {FEWEST} are needed to judge a proxy: they are scored only")
    score_all(_job(config), missing, path, config.workers)
    scores = read_scores(path, tasks, names)
    write_score_table(scores, folder / "scores.csv")
    say(f"scores, higher is better: {folder / 'scores.csv'}")
    if known >= FEWEST:
        write_report(config, scores, accuracy, folder)
    return 0


def _job(config: Config) -> ScoringJob:
    parts = trainer_parts(config)
    return ScoringJob(
        space=config.space.name,
        skeleton=dict(config.space.skeleton),
        reader=parts["reader"],
        images=parts["images"],
        batch_size=config.proxies.batch_size,
        device=config.trainer.device,
    )
