"""Each number of an answer, where it comes from and how well it is known."""

from collections.abc import Iterator

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.report.choice import budget_phrases, evidence_words, places, recommendation

METHOD = (
    "latency: the median of the rounds' medians, or the quantile of all samples; its interval"
    " holds those of all rounds. memory: the peak of a call beyond inputs and weights, and what"
    " decoding keeps. Between measured lengths a curve runs straight on logarithmic axes; beyond"
    " them it grows as the counted cost. A chance takes the interval as 95 % of a bell on the"
    " logarithmic axis; the chances of several limits are multiplied. Exact attention needs"
    " no evidence on its quality. An error is that of the output, relative to exact attention, on"
    " the same q, k and v, untrained: mean over heads and draws. Scores are the user's own, and"
    " published ones are of models that were trained with the variant."
)


def explanation(choice: Choice) -> Lines:
    """Of every candidate that could be asked what it needs."""
    shown: list[RenderableType] = []
    for one in choice.evaluations:
        if one.rejection is None:
            heading = f"{units.clean(one.label)}: {recommendation.decision(one, choice)}"
            shown.append(Text(heading, "bold"))
            shown += [Text(f"  {line}") for line in _facts(one, choice)]
    return Lines(*shown, Text(), Text(METHOD, "dim"), Text())


def _facts(one: Evaluation, choice: Choice) -> Iterator[str]:
    asked = {headroom.limit.resource: headroom for headroom in one.headrooms}
    for name, estimate in one.estimates.items():
        amount = recommendation.amount(one, name, choice)
        text = f"{name} {amount}, {budget_phrases.basis(estimate)}"
        interval = budget_phrases.interval(estimate, choice.required.metric(name))
        text += f"; 95 % interval {interval}"
        if name in asked:
            limit, measured = asked[name].limit, estimate.basis == "measured"
            sure = budget_phrases.chance(estimate.probability(limit.max), measured=measured)
            text += f"; at most {budget_phrases.limit(limit)} with a chance of {sure}"
            text += f": {budget_phrases.spare(asked[name])}"
        yield text
    price = one.candidate.price
    if one.cost is not None and price is not None:
        ends = f"{price.show(one.cost.low)} to {price.show(one.cost.high)}"
        text = f"cost {places.cost(one)} a million tokens, at {price.typed}"
        yield f"{text}; 95 % interval {ends}"
    for name in asked.keys() - one.estimates.keys():
        yield f"{name}: not known at this length"
    quality = one.candidate.quality
    nothing = "needs no evidence" if quality.exact else "no evidence"
    yield f"swap: {quality.swap}; {evidence_words.column(one, choice) or nothing}"
    for finding in quality.measured.values():
        yield evidence_words.origin(finding)
