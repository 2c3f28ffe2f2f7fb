"""What a sweep would do, and where the curves of a profile cross the baseline's."""

from typing import Literal

from msgspec import Struct

from effattn_cli.machine import Size
from effattn_cli.records import Cell, Cost, Failure, Shard
from effattn_cli.setting import Setting

#: What a sweep would do with a cell; on another machine, whether it fits.
What = Literal["measure", "predict", "fail", "fits"]


class PlannedCell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell, what it needs, and what the sweep would do with it."""

    cell: Cell
    label: str
    cost: Cost | None  # counted
    needs_bytes: int | None  # inputs, weights and the peak beyond them
    call_seconds: float | None  # expected, not measured
    plan: What
    failure: Failure | None


class PlannedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole model, from the expected times of its parts and the memory of its layers."""

    name: str
    setting: Setting
    seq: int
    seconds: float | None  # of a pass
    tokens_per_second: float | None  # where it decodes
    needs_bytes: int  # when it trains, without what the backward pass keeps
    fits: bool | None  # the memory limit; null where there is none


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `effattn profile` would do; no variant was run."""

    machine: str | None  # that of `--assume`; null: this one
    seconds: float | None  # of the whole sweep without a budget; null for another machine
    budget_seconds: float | None
    shard: Shard | None  # the part of a sweep that the cells are
    cells: tuple[PlannedCell, ...]
    models: tuple[PlannedModel, ...]


class SharedSetting(
    Setting, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True
):
    """The setting of a whole curve."""

    batch: Size  # 0: it depends on the length


class CrossedAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens from which on a variant is better than the baseline in one metric."""

    setting: SharedSetting
    label: str
    metric: str
    at: float | None  # null: not up to `last`
    low: float | None  # the 95 % interval of it
    high: float | None
    first: int  # the shortest and the longest length that both have
    last: int
    predicted: bool  # it rests on a value that was not measured


class Crossovers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each variant against the baseline."""

    baseline: str
    crossings: tuple[CrossedAt, ...]
