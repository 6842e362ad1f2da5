"""Every proxy that stage=proxies has scored on the test candidates, for the same exam as the predictors."""

from collections.abc import Sequence
from pathlib import Path

from nap2.baselines import PROXIES
from nap2.config import Config
from nap2.evaluation.judging.exam import Predictions
from nap2.stages.command.console import say
from nap2.stages.pool.stored import STORE
from nap2.stages.scores.proxy_report import proxy_methods
from nap2.stages.scores.score_file import read_scores
from nap2.stages.scores.to_score import scores_file, tasks_of

HOW = f"run stage=proxies proxies.candidates={STORE}"


def proxy_predictions(config: Config, arch_strs: Sequence[str]) -> list[Predictions]:
    """One method per scored proxy and per vote or fusion of them; what was not scored is said, and left out.

    A network that a proxy was not tried on, or failed on, has no value there and is counted in the proxy's rows.
    """
    path = Path(config.paths.runs) / "proxies" / scores_file(config)
    tasks = tasks_of(config, arch_strs)
    untried = (read_scores(path, tasks, tuple(PROXIES)).reasons < 0).sum(axis=0).tolist()
    names = tuple(name for name, count in zip(PROXIES, untried, strict=True) if count < len(tasks))
    if not names:
        others = any(other != path for other in path.parent.glob("scores-*.jsonl"))
        same = " (scores with other settings lie beside it: give both calls the same)" if others else ""
        say(f"no proxy was scored on these candidates in {path}{same}; {HOW} to see them in the table")
        return []
    scores = read_scores(path, tasks, names)
    absent = [name for name in PROXIES if name not in names]
    unscored = {task.arch_str for task, _ in scores.missing()}
    if absent:
        say(f"proxies not scored on these candidates, and so not in the table: {', '.join(absent)}")
    if unscored:
        say(f"{len(unscored)} of {len(arch_strs)} test candidates lack the score of some proxy; {HOW}")
    return proxy_methods(scores, arch_strs)
