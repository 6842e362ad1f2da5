"""The only entry point: compose the config → one typed object → run the stage.

python train.py                                  lists the stages
python train.py stage=snapshot experiment=digits
python train.py stage=cae cae.modality=weights   any key of conf/ can be set
python train.py --multirun stage=pipeline experiment=digits split.seed=1,2 'paths.runs=runs/seed${split.seed}'
"""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nap2.errors import Nap2Error
from nap2.terminal import on_any_terminal

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from nap2.config import Config

HELP_FLAGS = {"-h", "--help"}
SWEEP_FLAGS = {"-m", "--multirun"}
OUR_FILES_REFUSED = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
}
"""A full or read-only disk, too large a file, and a file in the place of a folder; all else is shown in full."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code (2: refused, 130: interrupted)."""
    try:
        return _run(list(arguments))
    except Nap2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in ("nap2", "data_modules"):
            raise
        print(f"error: {error.name} is not installed; the stages need pip install -e '.[pipeline]'.", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in OUR_FILES_REFUSED:
            raise
        where = error.filename or "a file"
        print(f"error: {where} cannot be written ({error.strerror}); correct that and run it again.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here.", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    from nap2.stages.command.help import overview

    if not arguments or HELP_FLAGS & set(arguments):
        print(overview(__doc__ or ""))
        return 0
    flags = [argument for argument in arguments if argument.startswith("-")]
    if unknown := [flag for flag in flags if flag not in (*SWEEP_FLAGS, "--cfg")]:
        raise Nap2Error(
            f"train.py has no option {unknown[0]}; it knows --multirun, --cfg job and --help, and settings are written "
            "key=value."
        )
    if "--cfg" in flags:
        return _show([argument for argument in arguments if argument not in ("--cfg", "job")])
    if flags:
        return _sweep(arguments)
    from nap2.stages.command.compose import compose_config, refuse_launcher

    refuse_launcher(arguments)
    tree, config = compose_config(arguments)
    return run_stage(tree, config)


def run_stage(tree: "DictConfig", config: "Config") -> int:
    """Run the stage of a composed config in this process."""
    from nap2.stages import STAGES
    from nap2.stages.command.console import logged_run
    from nap2.stages.command.environment import check_torchvision
    from nap2.stages.command.heap import keep_freed_memory

    check_torchvision()
    keep_freed_memory()
    if config.trainer.threads:
        import torch

        torch.set_num_threads(config.trainer.threads)
    warnings.filterwarnings("ignore", module="lightning")
    with logged_run(tree, config):
        return STAGES[config.stage].run(config)


def _show(overrides: list[str]) -> int:
    from omegaconf import OmegaConf

    from nap2.stages.command.compose import compose_config

    print(OmegaConf.to_yaml(compose_config(overrides)[0], resolve=True))
    return 0


def _sweep(arguments: list[str]) -> int:
    """Hydra's own runner, for `--multirun` and its launchers; each job passes the same checks."""
    import hydra
    from hydra.errors import CompactHydraException
    from omegaconf import DictConfig

    from nap2.stages.command.compose import typed

    @hydra.main(config_path="conf", config_name="config", version_base="1.3")
    def job(tree: DictConfig) -> int:
        try:
            return run_stage(tree, typed(tree))
        except Nap2Error as error:
            raise CompactHydraException(f"error: {error}") from None  # which Hydra shows without its stack

    sys.argv = [sys.argv[0], *arguments]
    job()
    return 0


if __name__ == "__main__":
    # OpenMP reads it when torch is loaded. Threads that wait then sleep: no slower on idle cores, and beside other work
    # they do not spin away the time that what they wait for needs (the demo: half the time on busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Pictures are files here. A notebook names a backend of its own, and without that matplotlib cannot be imported.
    os.environ["MPLBACKEND"] = "agg"
    sys.exit(on_any_terminal(lambda: main(sys.argv[1:])))
