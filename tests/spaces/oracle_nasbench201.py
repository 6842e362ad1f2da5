"""The published network as one page of formulas: it takes its tensors in the published order, one after the other."""

from collections.abc import Iterator

from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, linear, relu


def oracle_logits(arch_str: str, parameters: Iterator[Tensor], x: Tensor, cells_per_stage: int) -> Tensor:
    """Logits in training mode. Every edge is computed; nothing is shared with the library."""
    x = norm(conv2d(x, next(parameters), padding=1), parameters)
    for stage in range(3):
        if stage:
            x = reduction(x, parameters)
        for _ in range(cells_per_stage):
            x = cell(arch_str, x, parameters)
    return linear(relu(norm(x, parameters)).mean((2, 3)), next(parameters), next(parameters))


def norm(x: Tensor, parameters: Iterator[Tensor]) -> Tensor:
    return batch_norm(x, None, None, next(parameters), next(parameters), training=True)


def conv(x: Tensor, parameters: Iterator[Tensor], **options: int) -> Tensor:
    return norm(conv2d(relu(x), next(parameters), **options), parameters)


def reduction(x: Tensor, parameters: Iterator[Tensor]) -> Tensor:
    main = conv(conv(x, parameters, stride=2, padding=1), parameters, padding=1)
    return main + conv2d(avg_pool2d(x, 2), next(parameters))


def cell(arch_str: str, x: Tensor, parameters: Iterator[Tensor]) -> Tensor:
    nodes = [x]
    for node in arch_str.split("+"):
        total = x * 0
        for edge in node.strip("|").split("|"):
            operation, source = edge.split("~")
            total = total + edge_value(operation, nodes[int(source)], parameters)
        nodes.append(total)
    return nodes[-1]


def edge_value(operation: str, x: Tensor, parameters: Iterator[Tensor]) -> Tensor:
    match operation:
        case "none":
            return x * 0
        case "skip_connect":
            return x
        case "avg_pool_3x3":
            return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        case "nor_conv_1x1":
            return conv(x, parameters)
        case _:
            return conv(x, parameters, padding=1)
