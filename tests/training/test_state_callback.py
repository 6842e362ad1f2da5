from types import SimpleNamespace

import torch

from nap2.snapshots.curve import Curve
from nap2.training import stopwatch
from nap2.training.run_state import RunState
from nap2.training.state_callback import StateCallback
from nap2.training.stopwatch import Stopwatch


def test_what_a_gpu_has_still_to_do_when_the_state_is_saved_is_training_time(tmp_path, monkeypatch):
    """The processor is ahead of it: only fetching the losses waits for the steps that they belong to."""
    now = 0.0
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: now))

    def settle():
        nonlocal now
        now += 5.0

    def slow_state():
        nonlocal now
        now += 100.0
        return {}

    recorder = SimpleNamespace(num_snapshots=0, state_dict=slow_state)
    watch = Stopwatch(seconds=20.0)
    curve = SimpleNamespace(recorder=recorder, watch=watch, settle=settle, curve=Curve())
    keeper = StateCallback(RunState("abc"), tmp_path / "state.pt", curve, 10, lambda: False)
    trainer = SimpleNamespace(optimizers=[SimpleNamespace(state_dict=dict)])
    module = SimpleNamespace(network=torch.nn.Linear(1, 1), device=torch.device("cpu"))
    watch.start()
    keeper.save(trainer, module, step=3)
    assert RunState.load(tmp_path / "state.pt", "abc").seconds == 25.0
    assert watch.seconds == 25.0
