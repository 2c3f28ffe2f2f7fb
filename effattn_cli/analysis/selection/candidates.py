"""What takes part in a choice: each variant with its options, what it can do, and its curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from effattn_cli.analysis.selection.amounts import Resource
from effattn_cli.analysis.selection.curves import Curve
from effattn_cli.analysis.selection.quality import Quality, quality
from effattn_cli.cards import Value, Variant
from effattn_cli.records import Cell, Failure, Reason, Record, Roofline, Scores

Why = Literal["causal", "decode", "padding", "exact", "failed", "unmeasured", "far"]
RESOURCES: tuple[Resource, ...] = ("latency", "memory", "energy")
#: Failures at a length that hold for every longer one.
LASTING: frozenset[Reason] = frozenset({"out-of-memory", "timeout"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most so many seconds, bytes or joules."""

    resource: Resource
    most: float
    share: float | None = None  # of the calls, for a latency; None: the median


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a variant must be able to do, and keep."""

    limits: tuple[Limit, ...] = ()
    causal: bool = False
    decode: bool = False
    padding: bool = False
    exact: bool = False
    confidence: float = 0.5  # the least chance to keep each limit

    def share(self, resource: Resource) -> float | None:
        return next((limit.share for limit in self.limits if limit.resource == resource), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a variant is out of the question, whatever the limits are."""

    why: Why
    failure: Failure | None = None
    seq: int | None = None  # where it failed


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A variant with its options, and its curve for every resource."""

    label: str
    variant: str
    options: Mapping[str, Value]
    quality: Quality
    refusal: Refusal | None
    failures: Sequence[tuple[int, Failure]]
    curves: Mapping[Resource, Curve]

    def refused_at(self, seq: int) -> Refusal | None:
        """What failed here, or made a shorter length fail, or the next one that was tried."""
        last = max((seq for c in self.curves.values() for seq in c.seqs), default=0)
        for where, failure in self.failures:
            lasting = failure.reason in LASTING and (where < seq or last < seq)
            if where == seq or lasting:
                return Refusal(why="failed", failure=failure, seq=where)
        return self.refusal


def contenders(
    records: Iterable[Record],
    needs: Needs,
    variants: Mapping[str, Variant],
    others: Iterable[Record] = (),
    scores: Scores | None = None,
    under: Roofline | None = None,
) -> list[Contender]:
    """A contender for each label. `records` are of one setting, under one roofline; what occurs
    only among `others` was not measured there. Feed-forwards stand for no attention: they are
    contenders only where they were measured, in blocks.
    """
    own = scores.values if scores is not None else {}
    curves: dict[str, list[Record]] = {}
    for record in records:
        curves.setdefault(record.cell.label, []).append(record)
    found = [_contender(members, needs, variants, own, under) for members in curves.values()]
    absent = {
        record.cell.label: record.cell
        for record in others
        if record.cell.label not in curves
        and variants[record.cell.variant].card.kind != "feed-forward"
    }
    return found + [_absent(cell, needs, variants, own) for cell in absent.values()]


def _absent(
    cell: Cell, needs: Needs, variants: Mapping[str, Variant], scores: Mapping[str, float]
) -> Contender:
    variant = variants[cell.variant]
    return Contender(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality(variant.card, cell.options, scores.get(cell.label)),
        refusal=_unable(variant, needs) or Refusal(why="unmeasured"),
        failures=(),
        curves={resource: Curve((), resource) for resource in RESOURCES},
    )


def _contender(
    records: list[Record],
    needs: Needs,
    variants: Mapping[str, Variant],
    scores: Mapping[str, float],
    under: Roofline | None,
) -> Contender:
    records = sorted(records, key=lambda record: record.cell.seq)
    cell = records[0].cell
    failures = [(r.cell.seq, r.failure) for r in records if r.failure is not None]
    curves = {kind: Curve(records, kind, needs.share(kind), under) for kind in RESOURCES}
    known = variants[cell.variant]
    lasting = {failure.reason for _, failure in failures} == {"unsupported"}
    refusal = _unable(known, needs)
    if refusal is None and lasting and len(failures) == len(records):
        refusal = Refusal(why="failed", failure=failures[0][1], seq=failures[0][0])
    return Contender(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality(known.card, cell.options, scores.get(cell.label)),
        refusal=refusal,
        failures=[(seq, failure) for seq, failure in failures if failure.reason != "too-costly"],
        curves=curves,
    )


def _unable(variant: Variant, needs: Needs) -> Refusal | None:
    """What the card says that it cannot do."""
    if needs.decode and not variant.decode:
        return Refusal(why="decode")
    if needs.causal and variant.card.causal == "never":
        return Refusal(why="causal")
    if needs.padding and not variant.card.padding:
        return Refusal(why="padding")
    if needs.exact and variant.card.kind != "exact":  # the last: all but this wish is kept
        return Refusal(why="exact")
    return None
