"""Whether a cross-validation judges the procedure by which the predictor that is shipped beside it was fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from nap2.checkpoint import load_spec
from nap2.config import Config
from nap2.errors import CheckpointError
from nap2.evaluation.splitting.splits import Split
from nap2.evaluation.splitting.strata import without_classes
from nap2.schema import MODALITIES
from nap2.stages.fitting.fitted_with import encoder_options, head_options, refuse_another, require_trained
from nap2.stages.fitting.variants import Variant
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool, split_class_of


def check_same_candidates(config: Config, spec: Mapping[str, Any], shipped: RunFolder, pools: Sequence[Pool]) -> None:
    """Refuse folds of other candidates than those that the predictor which is shipped was fitted on.

    It leaves out what equals a candidate of its own validation, which the folds test. What it learned from and no fold
    tests had fewer snapshots when the folds were drawn, and learned in them too, or has fewer still.

    Raises:
        CheckpointError: if the store has grown between the two, or the predictor is of another split than lies there.
    """
    whole = Split.load(shipped.split(0))
    learned, tested = {*whole.pool, *whole.val}, {arch for pool in pools for arch in pool.test}
    in_folds = {arch for pool in pools for arch in (*pool.splits[0].pool, *pool.splits[0].val, *pool.test)}
    class_of = split_class_of(config)
    unknown = without_classes(tested - learned, {class_of(arch) for arch in whole.val}, class_of)
    if unknown or learned - in_folds - pools[0].shorter or not learned <= {*spec["fitted_on"]}:
        raise CheckpointError(
            f"The folds test other candidates than the {len(spec['fitted_on'])} that this predictor was fitted on: the "
            "store has grown in between; run the stages of both once more under another name."
        )


def check_same_options(
    config: Config, spec: Mapping[str, Any], shipped: RunFolder, pools: Sequence[Pool], size: int
) -> None:
    """Refuse options of the model that are not those of every fit, in the folds and on all candidates.

    Args:
        config: whose options.
        spec: of the predictor that is shipped.
        shipped: where it was fitted.
        pools: the folds.
        size: the train size at which they were evaluated.

    Raises:
        EvaluationError: naming the folder that was fitted with others.
    """
    heads = [(pool.folder, size, trial) for pool in pools for trial in pool.trials]
    heads += [(shipped, int(spec["train_size"]), trial) for trial in range(config.split.trials)]
    for modality in sorted({head.get("modality", "both") for head in spec["heads"]}):
        for folder, fitted, trial in heads:
            refuse_another(Variant(modality).folder(folder, fitted, trial), head_options(config))
    for folder in (shipped, *(pool.folder for pool in pools)):
        for modality in MODALITIES:
            refuse_another(folder.encoder_of(modality), encoder_options(config))


def num_encoded(pool: Pool) -> int:
    """Candidates that the encoders of a fold were fitted on, as they say: unlabelled ones may have come since."""
    named = str(load_spec(require_trained(pool.folder, MODALITIES[0]))["pool"])
    return int(named.rpartition("/")[2].partition("×")[0])
