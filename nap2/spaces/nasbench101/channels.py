"""How many channels each vertex of a cell has."""

from nap2.spaces.nasbench101.cell import Cell


def vertex_channels(cell: Cell, in_channels: int, out_channels: int) -> list[int]:
    """Channels by vertex, as published (Ying et al. 2019, §2.2).

    The vertices that the output reads share its channels, the first of them taking what is left over; any other has
    as many as the widest vertex that reads it.
    """
    channels = [in_channels] + [0] * len(cell.operations) + [out_channels]
    joined = [vertex for vertex in cell.sources(cell.output) if vertex > 0]
    for place, vertex in enumerate(joined):
        channels[vertex] = out_channels // len(joined) + (place < out_channels % len(joined))
    for vertex in reversed(range(1, cell.output)):
        if vertex not in joined:
            channels[vertex] = max(channels[target] for target in cell.targets(vertex))
    return channels
