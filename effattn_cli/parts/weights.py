"""Large weights that are fast to create, for parts whose speed does not depend on the values."""

import torch
from torch import nn

ROWS = 1024  # that are drawn at random; the others repeat them


def repeated(rows: int, width: int) -> nn.Parameter:
    """(rows, width), initialised like nn.Linear, except that only the first rows are drawn and then
    repeated: copying half a billion numbers takes a fraction of the time of drawing them.
    """
    weight_RD = torch.empty(rows, width)
    drawn_RD = weight_RD[:ROWS].uniform_(-1, 1).mul_(width**-0.5)
    for start in range(ROWS, rows, ROWS):
        stop = min(start + ROWS, rows)
        weight_RD[start:stop] = drawn_RD[: stop - start]
    return nn.Parameter(weight_RD)


def alike(count: int, rows: int, width: int) -> nn.Parameter:
    """(count, rows, width): matrices that all start with the same values."""
    drawn_RD = torch.empty(rows, width).uniform_(-1, 1).mul_(rows**-0.5)
    return nn.Parameter(drawn_RD.expand(count, -1, -1).contiguous())
