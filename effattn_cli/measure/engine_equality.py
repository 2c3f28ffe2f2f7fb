"""Tests an engine against eager torch; nothing is timed before its outputs agree."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from effattn_cli import units
from effattn_cli.attention.decodable import leaves
from effattn_cli.errors import EffattnError
from effattn_cli.measure.workload import Subject
from effattn_cli.records import Cell

#: Largest norm of a difference relative to that of eager torch's output. Sums over thousands of
#: tokens differ by many roundings; float32 that is computed in bfloat16 differs by more.
TOLERANCES = {"float64": 1e-11, "float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}


class NotEqual(EffattnError):
    """The engine's output differs from that of eager torch."""


def check(subject: Subject, eager: Subject, cell: Cell) -> None:
    """Compares the engine's outputs, and in decoding its states, with eager torch's, call by call:
    the states of a whole period would not fit in memory.

    Raises:
        NotEqual: one differs by more than the tolerance of the dtype.
    """
    for made, wanted in zip(_calls(subject), _calls(eager), strict=True):
        pairs = zip(leaves(made), leaves(wanted), strict=True)
        for index, (mine, theirs) in enumerate(pairs):
            error = _error(mine, theirs)
            if not error <= TOLERANCES[cell.setting.dtype]:
                raise NotEqual(f"its {'state' if index else 'output'} {_wrong(error)}")


def _wrong(error: float) -> str:
    return f"is off by {units.percent(error)}" if isfinite(error) else "holds NaN or infinity"


def _calls(subject: Subject) -> Iterator[Any]:
    torch.manual_seed(0)
    if subject.decoding is not None:
        yield from subject.decoding.results()
    else:
        yield subject.call()


def _error(mine: Tensor, theirs: Tensor) -> float:
    """The norm of the difference, relative to that of `theirs`."""
    if not theirs.is_floating_point():
        return 0.0 if torch.equal(mine, theirs) else 1.0
    wide = torch.promote_types(theirs.dtype, torch.float32)
    mine, theirs = mine.detach().to(wide), theirs.detach().to(wide)
    norm, difference = theirs.norm().item(), (mine - theirs).norm().item()
    return difference / norm if norm else difference
