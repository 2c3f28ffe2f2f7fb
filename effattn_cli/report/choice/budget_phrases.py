"""Words of a budget: limits, what is spare, why something does not fit, how sure all of it is."""

import math
from collections.abc import Mapping

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import Limit, Rejection, Requirements, Why
from effattn_cli.analysis.selection.evidence import TASKS
from effattn_cli.analysis.selection.ranking import Evaluation, Headroom
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import Metric
from effattn_cli.report import phrases
from effattn_cli.report.choice import evidence_words

WHY: Mapping[Why, str] = {
    "place": "does not take the place of attention",
    "narrow": "sees too few tokens to stand in the place of attention",
    "causal": "cannot be causal",
    "decode": "cannot decode",
    "padding": "cannot be given padding",
    "weights": "must be trained",
    "exact": "is not exact",
    "unmeasured": "was not measured in this setting",
    "far": "too far beyond the measured lengths to predict",
    "fidelity": "its error is too large",
    "recall": "recalls too little",
    "update": "updates too little",
    "parity": "counts too little",
}


def limit(one: Limit) -> str:
    """`50 ms`, `p95 50 ms`, `2.0 GiB`."""
    percentile = "" if one.metric.quantile is None else f"{one.metric.name} "
    return percentile + plain(one.metric.show(one.max))


def plain(text: str) -> str:
    """A number without zeros behind the point: people write `50ms`, not `50.0ms`."""
    number, _, unit = text.partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def amount(estimate: Estimate | None, metric: Metric) -> str:
    """`12.1 ms`, `~12.1 ms` where it was not measured, `?` where nothing is known; `!` beside other
    load.
    """
    if estimate is None:
        return "?"
    busy = "!" if estimate.busy else ""
    guessed = "" if estimate.basis == "measured" else "~"
    return busy + guessed + metric.show(estimate.value)


def chance(value: float, *, measured: bool) -> str:
    """Whole percents, never 0 or 100; 99 at most of what was not measured."""
    if value >= 0.995 and measured:
        return ">99 %"
    return "<1 %" if value < 0.005 else f"{min(99, max(1, math.floor(100 * value)))} %"


def sureness(one: Evaluation) -> str:
    if not one.known:
        return "?"
    measured = all(h.estimate is not None and h.estimate.basis == "measured" for h in one.headrooms)
    return chance(one.probability, measured=measured)


def basis(estimate: Estimate) -> str:
    """Where a number comes from."""
    sources = [units.length(seq) for seq in estimate.sources]
    if estimate.basis == "measured":
        return "measured" if estimate.known else "measured, too few samples to be sure"
    if len(sources) == 2:
        word = "interpolated" if estimate.basis == "interpolated" else "predicted"
        return f"{word} between {sources[0]} and {sources[1]}"
    growth = "" if estimate.exponent is None else f", growing like N^{estimate.exponent:.2f}"
    return f"predicted from {sources[0]}{growth}"


def interval(estimate: Estimate, metric: Metric) -> str:
    """`11.9 ms to 12.4 ms`."""
    return span(estimate.low, estimate.high, metric)


def span(low: float, high: float, metric: Metric) -> str:
    """`3.1 to 3.6 ms`: the unit once where both have the same."""
    first, last = metric.show(low), metric.show(high)
    number, _, unit = first.rpartition(" ")
    if first == last:
        return first
    return f"{number} to {last}" if last.endswith(f" {unit}") else f"{first} to {last}"


def spare(headroom: Headroom) -> str:
    """`37.9 ms to spare (37.4 to 38.2 ms)`, or by how much it may be exceeded."""
    estimate, limited = headroom.estimate, headroom.limit
    maximum, scale = limited.max, limited.metric.show
    if estimate is None:
        return "not known"
    left = maximum - estimate.value
    if left < 0:
        return misses(headroom)
    text = f"{scale(left)} to spare"
    under = scale(maximum - estimate.low)
    if estimate.high > maximum:
        over = scale(estimate.high - maximum)
        return f"{text} (95 % interval: {over} over to {under} under)"
    if scale(maximum - estimate.high) == under:
        return text
    return f"{text} ({span(maximum - estimate.high, maximum - estimate.low, limited.metric)})"


def misses(headroom: Headroom) -> str:
    """`misses 50 ms by 3.1 to 3.6 ms`."""
    estimate, maximum = headroom.estimate, headroom.limit.max
    resource, metric = headroom.limit.resource, headroom.limit.metric
    if estimate is None:
        return f"its {resource} is not known"
    named = limit(headroom.limit)
    if estimate.value <= maximum:
        sure = chance(headroom.probability, measured=estimate.basis == "measured")
        return f"keeps {named} with a chance of {sure} only"
    verb = f"misses {named}" if resource == "latency" else f"needs {amount(estimate, metric)}"
    if estimate.low > maximum and resource == "latency":
        return f"{verb} by {span(estimate.low - maximum, estimate.high - maximum, metric)}"
    if resource == "latency":
        over = metric.show(estimate.value - maximum)
        return f"{verb} by ~{over}, at most {metric.show(estimate.high - maximum)}"
    return f"{verb}, more than {named}"


def limits(required: Requirements) -> str:
    """`50 ms and 2 GiB`, `300 ms and an error of 5 %`; "" where nothing is limited."""
    said = [limit(one) for one in required.limits] + evidence_words.limits(required.evidence)
    return " and ".join(said)


def within(required: Requirements) -> str:
    """`within 50 ms and 2 GiB, with an error of 5 %`; "" where nothing is limited."""
    amounts = " and ".join(map(limit, required.limits))
    quality = " and ".join(evidence_words.limits(required.evidence))
    said = [f"within {amounts}" if amounts else "", f"with {quality}" if quality else ""]
    return ", ".join(filter(None, said))


def rejection(lost: Rejection, seq: int | None) -> str:
    """Why a variant is out of the question."""
    if lost.why in TASKS:
        return evidence_words.rejection(lost)
    if lost.failure is None:
        return WHY[lost.why]
    where = "" if lost.seq is None or lost.seq == seq else f"at {units.length(lost.seq)} "
    return where + phrases.reason(lost.failure)


def rounded_up(value: float, metric: Metric) -> str:
    """A limit that is still kept after rounding: three digits, the last one up."""
    if metric.name == "memory":
        unit = 1024 ** max(0, int(math.log(max(value, 1), 1024)))
        return plain(units.size(math.ceil(10 * value / unit) / 10 * unit))
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return plain(metric.show(math.ceil(value / digit - 1e-9) * digit))
