"""Large weights that are made fast, for parts whose products cost the same whatever is in them."""

import torch
from torch import nn

ROWS = 1024  # that are drawn; the others repeat them


def repeated(rows: int, width: int) -> nn.Parameter:
    """(rows, width), as nn.Linear begins, of which the first rows are drawn and then repeated:
    half a billion numbers are copied in a fraction of the time in which they are drawn.
    """
    weight_RD = torch.empty(rows, width)
    drawn_RD = weight_RD[:ROWS].uniform_(-1, 1).mul_(width**-0.5)
    for start in range(ROWS, rows, ROWS):
        stop = min(start + ROWS, rows)
        weight_RD[start:stop] = drawn_RD[: stop - start]
    return nn.Parameter(weight_RD)


def alike(count: int, rows: int, width: int) -> nn.Parameter:
    """(count, rows, width): matrices that all begin with the same numbers."""
    drawn_RD = torch.empty(rows, width).uniform_(-1, 1).mul_(rows**-0.5)
    return nn.Parameter(drawn_RD.expand(count, -1, -1).contiguous())
