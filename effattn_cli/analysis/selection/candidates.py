"""What takes part in a choice: each variant with its options, what it can do, and its curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from effattn_cli.analysis.selection.curves import Curve
from effattn_cli.analysis.selection.quality import Quality, quality
from effattn_cli.cards import Value, Variant
from effattn_cli.metrics import METRICS, Metric
from effattn_cli.records import Cell, Failure, Reason, Record, Roofline, Scores

Why = Literal["causal", "decode", "padding", "exact", "failed", "unmeasured", "far"]
#: What can be limited, by name; a percentile of the latency stands in the place of its median.
RESOURCES: Mapping[str, Metric] = {name: one for name, one in METRICS.items() if one.parse}
#: Failures at a length that hold for every longer one.
LASTING: frozenset[Reason] = frozenset({"out-of-memory", "timeout"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most so many seconds, bytes or joules of a metric."""

    metric: Metric
    max: float

    @property
    def resource(self) -> str:
        """What is limited: the latency, whichever percentile of it."""
        return "latency" if self.metric.quantile is not None else self.metric.name


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a variant must be able to do, and keep."""

    limits: tuple[Limit, ...] = ()
    causal: bool = False
    decode: bool = False
    padding: bool = False
    exact: bool = False
    confidence: float = 0.5  # the lowest probability of keeping each limit

    def metric(self, resource: str) -> Metric:
        """The metric of a resource: the percentile that is limited, if there is one."""
        limited = (limit.metric for limit in self.limits if limit.resource == resource)
        return next(limited, METRICS[resource])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """Why a variant is out of the question, whatever the limits are."""

    why: Why
    failure: Failure | None = None
    seq: int | None = None  # where it failed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A variant with its options, and its curve for every resource."""

    label: str
    variant: str
    options: Mapping[str, Value]
    quality: Quality
    rejection: Rejection | None
    failures: Sequence[tuple[int, Failure]]
    curves: Mapping[str, Curve]

    def rejected_at(self, seq: int) -> Rejection | None:
        """What failed here, or made a shorter length fail, or the next one that was tried."""
        last = max((seq for c in self.curves.values() for seq in c.seqs), default=0)
        for where, failure in self.failures:
            lasting = failure.reason in LASTING and (where < seq or last < seq)
            if where == seq or lasting:
                return Rejection(why="failed", failure=failure, seq=where)
        return self.rejection


def candidates(
    records: Iterable[Record],
    required: Requirements,
    variants: Mapping[str, Variant],
    others: Iterable[Record] = (),
    scores: Scores | None = None,
    under: Roofline | None = None,
) -> list[Candidate]:
    """A candidate for each label. `records` are of one setting, under one roofline; what occurs
    only among `others` was not measured there. Feed-forwards stand for no attention: they are
    candidates only where they were measured, in blocks.
    """
    own = scores.values if scores is not None else {}
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(record.cell.label, []).append(record)
    measured = [_measured(mine, required, variants, own, under) for mine in by_label.values()]
    absent = {
        record.cell.label: record.cell
        for record in others
        if record.cell.label not in by_label
        and variants[record.cell.variant].card.kind != "feed-forward"
    }
    return measured + [_absent(cell, required, variants, own) for cell in absent.values()]


def _absent(
    cell: Cell,
    required: Requirements,
    variants: Mapping[str, Variant],
    scores: Mapping[str, float],
) -> Candidate:
    variant = variants[cell.variant]
    return Candidate(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality(variant.card, cell.options, scores.get(cell.label)),
        rejection=_unable(variant, required) or Rejection(why="unmeasured"),
        failures=(),
        curves={name: Curve((), metric) for name, metric in RESOURCES.items()},
    )


def _measured(
    records: list[Record],
    required: Requirements,
    variants: Mapping[str, Variant],
    scores: Mapping[str, float],
    under: Roofline | None,
) -> Candidate:
    records = sorted(records, key=lambda record: record.cell.seq)
    cell = records[0].cell
    failures = [(r.cell.seq, r.failure) for r in records if r.failure is not None]
    variant = variants[cell.variant]
    never = {failure.reason for _, failure in failures} == {"unsupported"}
    rejection = _unable(variant, required)
    if rejection is None and never and len(failures) == len(records):
        rejection = Rejection(why="failed", failure=failures[0][1], seq=failures[0][0])
    return Candidate(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality(variant.card, cell.options, scores.get(cell.label)),
        rejection=rejection,
        failures=[(seq, failure) for seq, failure in failures if failure.reason != "too-costly"],
        curves={name: Curve(records, required.metric(name), under) for name in RESOURCES},
    )


def _unable(variant: Variant, required: Requirements) -> Rejection | None:
    """What the card says that it cannot do."""
    if required.decode and not variant.decode:
        return Rejection(why="decode")
    if required.causal and variant.card.causal == "never":
        return Rejection(why="causal")
    if required.padding and not variant.card.padding:
        return Rejection(why="padding")
    if required.exact and variant.card.kind != "exact":  # the last: all but this one is met
        return Rejection(why="exact")
    return None
