"""Ground truth: published or own final accuracies by arch string, one HDF5 table per search space."""

from nap2.truth.accuracy_csv import import_csv
from nap2.truth.nasbench101_tfrecord import import_tfrecord
from nap2.truth.table import DatasetTruth, TruthTable

__all__ = ["DatasetTruth", "TruthTable", "import_csv", "import_tfrecord"]
