"""Forty test candidates, and methods that see their accuracies through noise."""

import numpy as np

from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import RHO, TAU
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.protocols import result_rows

TRUTH = np.random.default_rng(0).beta(5, 2, 40)
EXAM = Exam(space="nasbench201", target="cifar10", truth=TRUTH, flavour="functional")


def predictions(method, noise, trials=3, **changes):
    values = TRUTH + np.array(noise)[None, :, None] * np.random.default_rng(1).normal(size=(trials, len(noise), 40))
    budgets = tuple(100 * (place + 1) for place in range(len(noise)))
    given = {"query_batches": budgets, "snapshots": tuple(b // 100 for b in budgets), "seeds": tuple(range(trials))}
    return Predictions(method=method, values=values, **{**given, **changes})


NAP2 = predictions("nap2", [0.2, 0.1], source="cifar10", train_size=700, query_time_s=(9.0, 18.0))
WEAK = predictions("early_stopping", [0.9, 0.8], trials=1)
PARAMS = predictions(
    "params", [0.4], trials=1, query_batches=(0,), snapshots=(0,), query_time_s=(0.001,), query_forwards=0.0
)


def aggregates(*methods, exam=EXAM, metrics=(TAU, RHO)):
    return aggregate(row for method in methods for row in result_rows(method, exam, metrics, rounds=50))
