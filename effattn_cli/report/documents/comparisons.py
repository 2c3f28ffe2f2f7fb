"""The answer of `effattn compare`: what changed, how sure that is, and what a gate says of it."""

from collections.abc import Mapping

from msgspec import Struct

from effattn_cli.analysis.compare.gate import Status
from effattn_cli.analysis.compare.verdicts import Verdict
from effattn_cli.machine import Difference
from effattn_cli.records import Cell


class ChangeOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the old value to the new one; a ratio to nothing is null."""

    old: float
    new: float
    ratio: float | None  # corrected for the machine's own speed where that is known
    low: float | None  # the 95 % interval of the ratio
    high: float | None
    verdict: Verdict
    more_rounds: int  # on each side, about what would decide; 0: it is clear, or none would


class MeanOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant's geometric mean over its cells, by metric."""

    variant: str
    cells: Mapping[str, int]
    changes: Mapping[str, ChangeOf]


class PairOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same cell in both profiles, with its changes by metric."""

    cell: Cell
    status: tuple[str, str]
    newly_failed: bool
    newly_fixed: bool
    changes: Mapping[str, ChangeOf]


class LimitOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit of `--fail-if`."""

    metric: str
    share: float


class BreachOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell that breaks a limit, and how."""

    limit: LimitOf
    label: str
    seq: int
    why: str
    cell: Cell


class OutcomeOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a limit. Every status but "kept" is a failure, with exit code 1."""

    limit: LimitOf
    status: Status
    cells: int  # that have the metric on both sides
    broken: int
    unclear: int  # cells that may be beyond the limit: `--strict` fails them
    words: str


class ComparisonOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One profile against the old one."""

    new: str
    differences: tuple[Difference, ...]
    counts: Mapping[str, Mapping[Verdict, int]]  # of cells, by metric
    spread: float  # median standard deviation of a latency between processes
    minimum_detectable_effect: float | None
    slowdown: float | None  # of the machine, by its calibration
    means: tuple[MeanOf, ...]
    cells: tuple[PairOf, ...]
    only_old: tuple[Cell, ...]
    only_new: tuple[Cell, ...]
    gate: tuple[OutcomeOf, ...]
    breaches: tuple[BreachOf, ...]


class Comparisons(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Profiles against an older one."""

    old: str
    passed: bool | None  # null where there is no `--fail-if`
    comparisons: tuple[ComparisonOf, ...]
