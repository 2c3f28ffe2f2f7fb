"""Words of a budget: limits, what is spare, why something does not fit, how sure all of it is."""

import math
from collections.abc import Mapping

from effattn_cli import units
from effattn_cli.analysis.selection.amounts import Resource
from effattn_cli.analysis.selection.candidates import Limit, Refusal, Why
from effattn_cli.analysis.selection.ranking import Candidate, Margin
from effattn_cli.estimate import Estimate
from effattn_cli.report import phrases
from effattn_cli.report.metric_words import TOLD

WHY: Mapping[Why, str] = {
    "causal": "cannot be causal",
    "decode": "cannot decode",
    "padding": "cannot be given padding",
    "exact": "is not exact",
    "unmeasured": "was not measured in this setting",
    "far": "not known so far from the lengths that were measured",
}


def limit(one: Limit) -> str:
    """`50 ms`, `p95 50 ms`, `2.0 GiB`."""
    share = "" if one.share is None else f"p{100 * one.share:.4g} "
    return share + plain(TOLD[one.resource].scale(one.most))


def plain(text: str) -> str:
    """A number without zeros behind the point: people write `50ms`, not `50.0ms`."""
    number, _, unit = text.partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def amount(estimate: Estimate | None, resource: Resource) -> str:
    """`12.1 ms`, `~12.1 ms` where it was not measured, `?` where nothing is known; `!` beside other
    load.
    """
    if estimate is None:
        return "?"
    mark = "!" if estimate.busy else ""
    return (
        mark + ("" if estimate.basis == "measured" else "~") + TOLD[resource].scale(estimate.value)
    )


def chance(value: float, *, measured: bool) -> str:
    """Whole percents, never 0 or 100; 99 at most of what was not measured."""
    if value >= 0.995 and measured:
        return ">99 %"
    return "<1 %" if value < 0.005 else f"{min(99, max(1, math.floor(100 * value)))} %"


def sureness(one: Candidate) -> str:
    if not one.known:
        return "?"
    measured = all(m.estimate is not None and m.estimate.basis == "measured" for m in one.margins)
    return chance(one.chance, measured=measured)


def basis(estimate: Estimate) -> str:
    """Where a number comes from."""
    sources = [units.length(seq) for seq in estimate.sources]
    if estimate.basis == "measured":
        return "measured" if estimate.known else "measured, too few samples to be sure"
    if len(sources) == 2:
        word = "interpolated" if estimate.basis == "interpolated" else "predicted"
        return f"{word} between {sources[0]} and {sources[1]}"
    growth = "" if estimate.growth is None else f", growing like N^{estimate.growth:.2f}"
    return f"predicted from {sources[0]}{growth}"


def interval(estimate: Estimate, resource: Resource) -> str:
    """`11.9 ms to 12.4 ms`."""
    return span(estimate.low, estimate.high, resource)


def span(low: float, high: float, resource: Resource) -> str:
    """`3.1 to 3.6 ms`: the unit once where both have the same."""
    first, last = TOLD[resource].scale(low), TOLD[resource].scale(high)
    number, _, unit = first.rpartition(" ")
    if first == last:
        return first
    return f"{number} to {last}" if last.endswith(f" {unit}") else f"{first} to {last}"


def spare(margin: Margin) -> str:
    """`37.9 ms to spare (37.4 to 38.2 ms)`, or by how much the limit may be broken."""
    estimate, most, scale = margin.estimate, margin.limit.most, TOLD[margin.limit.resource].scale
    if estimate is None:
        return "not known"
    left = most - estimate.value
    if left < 0:
        return misses(margin)
    text = f"{scale(left)} to spare"
    if estimate.high > most:
        return f"{text}, perhaps {scale(estimate.high - most)} too much"
    return f"{text} ({span(most - estimate.high, most - estimate.low, margin.limit.resource)})"


def misses(margin: Margin) -> str:
    """`misses 50 ms by 3.1 to 3.6 ms`."""
    estimate, most, resource = margin.estimate, margin.limit.most, margin.limit.resource
    if estimate is None:
        return f"its {resource} is not known"
    named = limit(margin.limit)
    if estimate.value <= most:
        sure = chance(margin.chance, measured=estimate.basis == "measured")
        return f"keeps {named} with a chance of {sure} only"
    verb = f"misses {named}" if resource == "latency" else f"needs {amount(estimate, resource)}"
    if estimate.low > most and resource == "latency":
        return f"{verb} by {span(estimate.low - most, estimate.high - most, resource)}"
    if resource == "latency":
        over = TOLD[resource].scale(estimate.value - most)
        return f"{verb} by ~{over}, at most {TOLD[resource].scale(estimate.high - most)}"
    return f"{verb}, more than {named}"


def refusal(found: Refusal, seq: int | None) -> str:
    """Why a variant is out of the question."""
    if found.failure is None:
        return WHY[found.why]
    where = "" if found.seq is None or found.seq == seq else f"at {units.length(found.seq)} "
    return where + phrases.reason(found.failure)


def rounded_up(value: float, resource: Resource) -> str:
    """A limit that is still kept after rounding: three digits, the last one up."""
    if resource == "memory":
        unit = 1024 ** max(0, int(math.log(max(value, 1), 1024)))
        return plain(units.size(math.ceil(10 * value / unit) / 10 * unit))
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return plain(TOLD[resource].scale(math.ceil(value / digit - 1e-9) * digit))
