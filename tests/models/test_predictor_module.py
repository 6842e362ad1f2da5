import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from scipy import stats

from data_modules.embeddings import EmbeddingDataModule
from nap2.errors import UnknownNameError
from nap2.models.bigru import BiGRUPredictor
from nap2.models.predictor_module import PredictorModule


def data(num_val: int = 6, **options) -> EmbeddingDataModule:
    generator = torch.Generator().manual_seed(0)
    trajectory = torch.randn(20, 4, 6, generator=generator)
    accuracy = trajectory[:, 0, 0].sigmoid()
    split = {"train": list(range(14)), "val": list(range(14, 14 + num_val))}
    return EmbeddingDataModule(trajectory, torch.full((20,), 4), accuracy, split, batch_size=8, **options)


def fit(module: PredictorModule, source: EmbeddingDataModule, epochs: int = 2, **options) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, **options},
    )
    trainer.fit(module, source)
    return trainer


def net() -> BiGRUPredictor:
    torch.manual_seed(0)
    return BiGRUPredictor(input_size=6, hidden=8)


@pytest.mark.parametrize("prefix_sharing", [False, True])
def test_a_fit_learns_and_logs_loss_and_tau(prefix_sharing: bool) -> None:
    module, source = (
        PredictorModule(net(), max_lr=3e-2, prefix_sharing=prefix_sharing),
        data(prefix_sharing=prefix_sharing),
    )
    first = float(fit(PredictorModule(net(), max_lr=1e-9), data(), 1).callback_metrics["val/loss"])
    trainer = fit(module, source, 25)
    assert float(trainer.callback_metrics["val/loss"]) < 0.7 * first
    (batch,) = source.val_dataloader()
    with torch.no_grad():
        predicted = module.net.eval()(batch[0], batch[1])
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(
        float((predicted - batch[2]).abs().mean()), 1e-4
    )
    assert float(trainer.callback_metrics["val/tau"]) == pytest.approx(stats.kendalltau(predicted, batch[2]).statistic)


def test_the_schedule_is_one_cycle_over_all_steps() -> None:
    trainer = fit(PredictorModule(net()), data(), 3)
    (config,) = trainer.lr_scheduler_configs
    assert config.interval == "step"
    assert config.scheduler.total_steps == trainer.global_step == 3 * math.ceil(14 * 4 / 8)
    assert trainer.optimizers[0].param_groups[0]["max_lr"] == 3e-3


def test_a_single_validation_architecture_has_no_tau() -> None:
    metrics = fit(PredictorModule(net()), data(num_val=1), 1).callback_metrics
    assert "val/tau" not in metrics
    assert float(metrics["val/loss"]) >= 0


def test_a_lightning_checkpoint_loads_without_pickle(tmp_path: Path) -> None:
    module = PredictorModule(net(), loss="soft_spearman")
    trainer = fit(module, data(), 1, enable_checkpointing=True, default_root_dir=tmp_path)
    trainer.save_checkpoint(tmp_path / "fit.ckpt")
    content = torch.load(tmp_path / "fit.ckpt", weights_only=True)
    assert content["hyper_parameters"]["loss"] == "soft_spearman"
    other = PredictorModule(net())
    other.load_state_dict(content["state_dict"])


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"No loss \(model.predictor.loss\) is called 'l3'"):
        PredictorModule(net(), loss="l3")
