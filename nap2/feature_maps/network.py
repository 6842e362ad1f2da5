"""The feature map of a network as it stands."""

from torch import Tensor, nn

from nap2.errors import check_name
from nap2.feature_maps.padding import dense_maps
from nap2.schema import MODALITIES
from nap2.snapshots.layers import gradient_rows, recorded_layers, sampled_rows
from nap2.snapshots.statistics import layer_statistics


def feature_map(model: nn.Module, modality: str) -> Tensor:
    """Statistics of a network's weights, or of the gradients its last `backward` left.

    Args:
        model: any module with a convolution or linear layer; it is read, never called.
        modality: `"weights"` or `"gradients"`. A layer without a gradient keeps its place with zeros.

    Returns:
        float32 `[65, 100, 12]`, raw (not log-normalised), on the device of the model's first recorded layer (the CPU
        where that device knows no float64).

    Raises:
        UnknownNameError: if there is no such modality.
        NetworkError: if the model has no layer to record.
    """
    check_name("modality", modality, MODALITIES)
    layers = recorded_layers(model)
    rows = [sampled_rows(layer.weight) if modality == "weights" else gradient_rows(layer) for layer in layers]
    values, _ = layer_statistics(rows)
    return dense_maps(values, [layer.units for layer in layers])
