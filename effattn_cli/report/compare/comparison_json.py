"""A comparison as a JSON document."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.differences import differences
from effattn_cli.analysis.compare.gate import Breach, GateLimit, Outcome
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.report.compare import gate_phrases
from effattn_cli.report.compare.gate_phrases import Outcomes
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.comparisons import (
    BreachOf,
    ChangeOf,
    ComparisonOf,
    Comparisons,
    LimitOf,
    MeanOf,
    OutcomeOf,
    PairOf,
)


def document(old: str, comparisons: Mapping[str, Comparison], outcomes: Outcomes) -> str:
    """One document; a ratio to nothing is null."""
    every = [one for per_limit in outcomes.values() for one in per_limit]
    return kinds.text(
        Comparisons(
            old=old,
            passed=all(one.passed for one in every) if every else None,
            comparisons=tuple(_comparisons(comparisons, outcomes)),
        )
    )


def _comparisons(
    comparisons: Mapping[str, Comparison], outcomes: Outcomes
) -> Iterator[ComparisonOf]:
    for name, comparison in comparisons.items():
        per_limit = outcomes.get(name, ())
        yield ComparisonOf(
            new=name,
            differences=tuple(differences(comparison)),
            counts={metric: comparison.count(metric) for metric in comparison.metrics},
            spread=comparison.spread,
            minimum_detectable_effect=_finite(comparison.minimum_detectable_effect),
            slowdown=comparison.slowdown,
            means=tuple(
                MeanOf(variant=mean.label, cells=mean.cells, changes=_changes(mean.changes))
                for mean in comparison.means
            ),
            cells=tuple(map(_pair, comparison.pairs)),
            only_old=tuple(record.cell for record in comparison.only_old),
            only_new=tuple(record.cell for record in comparison.only_new),
            gate=tuple(map(_outcome, per_limit)),
            breaches=tuple(_breach(breach) for one in per_limit for breach in one.breaches),
        )


def _outcome(one: Outcome) -> OutcomeOf:
    return OutcomeOf(
        limit=_limit(one.limit),
        status=one.status,
        cells=one.cells,
        broken=len(one.breaches),
        unclear=one.unclear,
        words=gate_phrases.outcome(one),
    )


def _limit(limit: GateLimit) -> LimitOf:
    return LimitOf(metric=limit.metric.name, share=limit.threshold)


def _breach(breach: Breach) -> BreachOf:
    return BreachOf(
        limit=_limit(breach.limit),
        label=breach.cell.label,
        seq=breach.cell.seq,
        why=breach.why,
        cell=breach.cell,
    )


def _pair(pair: Pair) -> PairOf:
    return PairOf(
        cell=pair.cell,
        status=(pair.old.status, pair.new.status),
        newly_failed=pair.newly_failed,
        newly_fixed=pair.newly_fixed,
        changes=_changes(pair.changes),
    )


def _changes(changes: Mapping[str, Change]) -> dict[str, ChangeOf]:
    """By metric."""
    return {metric: _change(change) for metric, change in changes.items()}


def _change(change: Change) -> ChangeOf:
    ends = {name: _finite(getattr(change, name)) for name in ("ratio", "low", "high")}
    return ChangeOf(**(asdict(change) | ends))


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
