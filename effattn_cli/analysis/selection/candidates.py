"""What takes part in a choice: each variant with its options, what it can do, and its curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from effattn_cli.analysis.selection.curves import Curve
from effattn_cli.analysis.selection.evidence import NOTHING, Evidence, Finding, Task, nearest
from effattn_cli.analysis.selection.price import Price
from effattn_cli.analysis.selection.quality import NARROW, Quality, quality
from effattn_cli.cards import Value, Variant, replaces_attention
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import LATENCY, METRICS, Metric
from effattn_cli.records import Cell, Failure, Reason, Record, Roofline, Scores
from effattn_cli.setting import Setting

Why = (
    Literal[
        "place", "narrow", "causal", "decode", "padding", "weights", "exact", "failed",
        "unmeasured", "far",
    ]
    | Task
)  # fmt: skip
#: What becomes of a model's weights: anything, they are kept, or the model is trained in any case.
Weights = Literal["any", "keep", "train"]
#: What can be limited, by name; a percentile of the latency stands in the place of its median.
RESOURCES: Mapping[str, Metric] = {name: one for name, one in METRICS.items() if one.parse}
#: Failures at a length that hold for every longer one.
LASTING: frozenset[Reason] = frozenset({"out-of-memory", "timeout"})


#: The least chance to keep each limit, where nobody says another.
CONFIDENCE = 0.9


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
    weights: Weights = "any"
    #: Of the measured quality: the relative error, at most, of what keeps the weights; the load, at
    #: least, that a tiny model learns.
    evidence: Mapping[Task, float] = field(default_factory=dict)
    confidence: float = 0.5  # the lowest probability of keeping each limit

    @property
    def training(self) -> bool:
        """Whether the model is trained with whatever is chosen."""
        return self.weights == "train"

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
    finding: Finding | None = None  # that is beyond a limit of the quality; None: there is none


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
    findings: Sequence[Finding] = ()  # of its quality, of all lengths
    machine: str | None = None  # where several compete: its name, which the label ends in
    price: Price | None = None  # of that machine

    @property
    def typed(self) -> str:
        """The label of the variant alone, as a sweep takes it."""
        return (
            self.label if self.machine is None else self.label.removesuffix(f" on {self.machine}")
        )

    @property
    def setting(self) -> Setting | None:
        """In which it was measured."""
        records = self.curves["latency"].records
        return records[0].cell.setting if records else None

    def cost(self, seq: int) -> Estimate | None:
        """Of a million tokens at a length; None where no price is known, or no latency."""
        curve = replace(self.curves["latency"], metric=LATENCY)  # whatever percentile is limited
        latency = curve.at(seq) if self.price is not None else None
        if latency is None or self.price is None:
            return None
        return self.price.cost(latency, curve.records[0].cell.resized(seq).tokens_per_call)

    def seen_at(self, seq: int) -> "Candidate":
        """With what was measured of its quality nearest to a length."""
        measured = nearest(self.findings, seq)
        if measured == self.quality.measured:
            return self
        return replace(self, quality=replace(self.quality, measured=measured))

    def unproven(self, required: Requirements) -> Rejection | None:
        """What is limited of the quality, and not known to be kept. Exact attention has no error;
        of what is trained in any case, none is asked.
        """
        quality = self.quality
        for task, limit in required.evidence.items():
            finding = quality.measured.get(task)
            is_asked = task != "fidelity" or (quality.keeps_weights and not quality.exact)
            if is_asked and (finding is None or not finding.meets(limit)):
                return Rejection(why=task, finding=finding)
        return None

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
    evidence: Evidence = NOTHING,
) -> list[Candidate]:
    """A candidate for each label. `records` are of one setting, under one roofline; what occurs
    only among `others` was not measured there. `evidence`: what was measured of the quality.

    Feed-forwards that were measured elsewhere only are left out: they are no attention.
    """
    own = scores.values if scores is not None else {}
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(record.cell.label, []).append(record)
    settings = [mine[0].cell.setting for mine in by_label.values()]

    def of(cell: Cell) -> Quality:
        score = own.get(cell.label)
        return quality(variants[cell.variant], cell.options, settings[0], score)

    measured = [
        _measured(mine, required, variants[mine[0].cell.variant], of(mine[0].cell), under)
        for mine in by_label.values()
    ]
    absent = {
        record.cell.label: record.cell
        for record in others
        if record.cell.label not in by_label
        and variants[record.cell.variant].card.kind != "feed-forward"
    }
    everything = measured + [
        _absent(cell, required, variants[cell.variant], of(cell)) for cell in absent.values()
    ]
    return [
        replace(one, findings=_speaking(evidence.get(one.label, ()), required))
        for one in everything
    ]


def _speaking(findings: Sequence[Finding], required: Requirements) -> tuple[Finding, ...]:
    """What tiny models learn with a variant says nothing of weights that are kept: then it is left
    out, unless it is limited.
    """
    asked = {"fidelity", *required.evidence}
    kept = required.weights == "keep"
    return tuple(one for one in findings if not kept or one.task in asked)


def _absent(cell: Cell, required: Requirements, variant: Variant, quality: Quality) -> Candidate:
    return Candidate(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality,
        rejection=_unable(variant, required, quality) or Rejection(why="unmeasured"),
        failures=(),
        curves={name: Curve((), metric) for name, metric in RESOURCES.items()},
    )


def _measured(
    records: list[Record],
    required: Requirements,
    variant: Variant,
    quality: Quality,
    under: Roofline | None,
) -> Candidate:
    records = sorted(records, key=lambda record: record.cell.seq)
    cell = records[0].cell
    failures = [(r.cell.seq, r.failure) for r in records if r.failure is not None]
    never = {failure.reason for _, failure in failures} == {"unsupported"}
    rejection = _unable(variant, required, quality)
    if rejection is None and never and len(failures) == len(records):
        rejection = Rejection(why="failed", failure=failures[0][1], seq=failures[0][0])
    return Candidate(
        label=cell.label,
        variant=cell.variant,
        options=cell.options,
        quality=quality,
        rejection=rejection,
        failures=[(seq, failure) for seq, failure in failures if failure.reason != "too-costly"],
        curves={name: Curve(records, required.metric(name), under) for name in RESOURCES},
    )


def _unable(variant: Variant, required: Requirements, quality: Quality) -> Rejection | None:
    """What the card says that it cannot do. What could be given up comes last: there all else is
    met.
    """
    card, weights = variant.card, required.weights
    unmet: Sequence[tuple[Why, bool]] = (
        ("place", not replaces_attention(card, causal=quality.causal)),
        ("narrow", quality.sees is not None and quality.sees < NARROW),
        ("decode", required.decode and not variant.decode),
        ("causal", required.causal and card.causal == "never"),
        ("padding", required.padding and not card.padding),
        ("exact", required.exact and not quality.exact),
        ("weights", weights == "keep" and not quality.keeps_weights),
    )
    return next((Rejection(why=why) for why, is_so in unmet if is_so), None)
