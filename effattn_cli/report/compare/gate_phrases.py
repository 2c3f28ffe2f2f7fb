"""What a gate says: each limit with its outcome, each cell that breaks one."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison
from effattn_cli.analysis.compare.gate import Breach, GateLimit, Outcome
from effattn_cli.report.compare import change_phrases
from effattn_cli.setting import Setting

Outcomes = Mapping[str, Sequence[Outcome]]  # by the name of the new profile


def lines(outcomes: Outcomes, comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """The cells that break limits, a line each, then a line for each limit.

    `gate: latency>5%: broken by 2 of 6 cells`
    """
    for name, per_limit in outcomes.items():
        where = in_which(name, outcomes)
        settings = change_phrases.settings(comparisons[name])
        for one in per_limit:
            for breach in one.breaches:
                line = f"{limit(one.limit)}: {cell(breach, settings)}: {breach.why}"
                yield units.clean(f"{line}{where}")
    for name, per_limit in outcomes.items():
        for one in per_limit:
            yield units.clean(f"gate: {limit(one.limit)}: {outcome(one)}{in_which(name, outcomes)}")


def in_which(name: str, outcomes: Outcomes) -> str:
    """`, in new.yaml`, where there are several."""
    return f", in {name}" if len(outcomes) > 1 else ""


def limit(one: GateLimit) -> str:
    """As it is typed: `latency>5%`."""
    return f"{one.metric.name}>{100 * one.threshold:g}%"


def cell(breach: Breach, settings: Sequence[Setting]) -> str:
    """`sdpa at 1k (train)`; the setting where there are several."""
    there = breach.cell.setting.apart(settings)
    return f"{breach.cell.label} at {units.length(breach.cell.seq)}{f' ({there})' if there else ''}"


def outcome(one: Outcome) -> str:
    """`kept by 6 cells`, `broken by 2 of 6 cells`, or that nothing could be compared."""
    title = one.limit.metric.title
    if one.status == "nothing to compare":
        return f"failed, because no cell has its {title} in both profiles"
    cells = units.number(one.cells, "cell")
    if one.status == "broken":
        cells = f"{len(one.breaches)} of {cells}"
    said = f"{one.status} by {cells}"
    return f"{said}; {unclear(one)}" if one.unclear else said


def unclear(one: Outcome) -> str:
    """What is not known, and what helps."""
    is_one = one.unclear == 1
    return (
        f"{one.unclear} of them {'is' if is_one else 'are'} unclear and may break it:"
        f" more --rounds would tell, --strict fails {'it' if is_one else 'them'}"
        if one.status == "kept"
        else f"{one.unclear} more {'is' if is_one else 'are'} unclear"
    )
