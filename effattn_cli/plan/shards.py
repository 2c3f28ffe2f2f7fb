"""The parts of a sweep for several machines, of which each measures one.

A part consists of whole blocks, so that no variant is parted from its baseline. One cell of the
sweep, the sentinel, is measured in every part: it tells whether the machines are equally fast.
"""

import dataclasses
import re
from collections.abc import Iterable
from reprlib import repr as shortened

from effattn_cli import units
from effattn_cli.analysis.cost import time_estimate
from effattn_cli.errors import UsageError
from effattn_cli.plan.sweep_plan import Plan
from effattn_cli.records import Cell, Sampling, Shard
from effattn_cli.setting import Setting

MAX_SHARDS = 10_000
FLOPS = 1e11  # a second, to tell what takes longer: only the ratios of blocks matter
#: Products of a token beyond its attention, as if its context were longer by so many widths.
BEYOND_CORE = {"core": 0, "layer": 2, "block": 6}
TRAINING = 3  # a forward and a backward pass, against a forward one
TRIVIAL = 1e9  # FLOPs of exact attention below which the calls around it take most of the time

Block = tuple[int, Setting]  # the length and all that is held constant: the cells to be compared


def parse(text: str) -> tuple[int, int]:
    """The number of a shard, and of how many it is one.

    >>> parse("2/8")
    (2, 8)

    Raises:
        UsageError: it is no such text, or there is no such shard.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    if match is None:
        hint = "--shard 2/8 measures the second of eight parts"
        raise UsageError(f"--shard: {shortened(text)} is not a shard", hint)
    number, of = int(match[1]), int(match[2])
    if not 1 <= of <= MAX_SHARDS:
        raise UsageError(f"--shard: {of} parts are out of range, from 1 to {MAX_SHARDS:,}")
    if not 1 <= number <= of:
        hint = f"the first is 1/{of}, the last {of}/{of}"
        raise UsageError(f"--shard: there is no part {number} of {of}", hint)
    return number, of


def sharded(plan: Plan, place: tuple[int, int], sampling: Sampling) -> Plan:
    """The part of a plan that one shard measures, with the sentinel."""
    number, of = place
    owner = _owners(plan.cells, of, sampling)
    sentinel = _sentinel(plan)
    cells = [cell for cell in plan.cells if owner[_block(cell)] == number or cell == sentinel]
    shard = Shard(
        number=number,
        of=of,
        cells=len(plan.cells),
        sentinel=sentinel,
        borrowed=owner[_block(sentinel)] != number,
    )
    notes = plan.notes
    if number not in owner.values():
        blocks = units.number(len(owner), "block")
        notes += (f"shard {shard.words}: the sweep has {blocks}, so only the sentinel is left",)
    return dataclasses.replace(plan, cells=tuple(cells), shard=shard, notes=notes)


def _block(cell: Cell) -> Block:
    return cell.seq, cell.setting


def _owners(cells: Iterable[Cell], of: int, sampling: Sampling) -> dict[Block, int]:
    """The number of the shard of each block: from the longest block on, each goes to the shard that
    has the least so far. Of equals the first in the plan comes first.
    """
    seconds: dict[Block, float] = {}
    for cell in cells:
        seconds[_block(cell)] = seconds.get(_block(cell), 0.0) + _seconds(cell, sampling)
    loads = dict.fromkeys(range(1, of + 1), 0.0)
    owner: dict[Block, int] = {}
    for block in sorted(seconds, key=lambda each: -seconds[each]):
        owner[block] = min(loads, key=lambda number: loads[number])
        loads[owner[block]] += seconds[block]
    return owner


def _seconds(cell: Cell, sampling: Sampling) -> float:
    """What a cell is taken to cost: the processes that it needs, with calls of exact attention of
    its shape, which take no more than the time limit of a cell.
    """
    call = min(_flops(cell) / FLOPS, time_estimate.longest_call(sampling))
    return time_estimate.cell_seconds(call, sampling)


def _flops(cell: Cell) -> float:
    """Of exact attention of the cell's shape."""
    setting = cell.setting
    width = setting.heads * setting.head_dim if setting.head_dim else setting.dim
    tokens = float(cell.tokens_per_call)
    context = cell.seq + BEYOND_CORE[setting.scope] * setting.dim
    passes = TRAINING if setting.phase == "train" else 1
    return 4 * passes * tokens * context * width


def _sentinel(plan: Plan) -> Cell:
    """The cheapest cell that is not trivial, or the dearest; of the baseline, if there is one."""
    cells = [cell for cell in plan.cells if plan.baseline in (None, cell.label)]
    return min(cells, key=lambda cell: (_flops(cell) < TRIVIAL, abs(_flops(cell) - TRIVIAL)))
