"""What to deploy, why not the others, and how each number came about."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import RESOURCES, Requirements
from effattn_cli.analysis.selection.quality import SOURCE, Quality
from effattn_cli.analysis.selection.ranking import Choice, Evaluation, Preference
from effattn_cli.analysis.selection.relaxation import Relaxation
from effattn_cli.report import phrases
from effattn_cli.report.choice import budget_phrases
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.setting import Setting

ORDERS: Mapping[Preference, str] = {
    "quality": "by its score, then the faster one",
    "speed": "the faster one",
    "memory": "the one that needs less memory",
}


def answer(choice: Choice, setting: Setting, relaxed: Sequence[Relaxation]) -> Lines:
    """The recommendation, then a row for every candidate."""
    best = choice.best
    shown: list[RenderableType] = [Text(setting.title), Text(_question(choice)), Text()]
    if best is not None:
        shown += [*_recommended(best, choice), *_doubt(best, choice, setting), Text()]
    else:
        shown += [*_nothing(choice, relaxed, setting), Text()]
    shown += [_table(choice), Text(), *(Text(line, "dim") for line in _legend(choice))]
    return Lines(*shown)


def limits(required: Requirements) -> str:
    """`50 ms and 2 GiB`."""
    return " and ".join(budget_phrases.limit(one) for one in required.limits)


def _question(choice: Choice) -> str:
    asked = ", exact" if choice.required.exact else ""
    return f"{units.length(choice.seq)} tokens within {limits(choice.required)}{asked}"


def _recommended(best: Evaluation, choice: Choice) -> Iterator[Text]:
    named = (units.clean(best.label), "bold")
    yield Text.assemble("Use ", named, f": {_evidence(best, choice)}.")
    rows = []
    for headroom in best.headrooms:
        limit = headroom.limit
        mark = " (binding)" if headroom == best.binding and len(best.headrooms) > 1 else ""
        of = f"of {budget_phrases.limit(limit)}{mark}"
        amount = budget_phrases.amount(headroom.estimate, limit.metric)
        rows.append((limit.resource, amount, of, budget_phrases.spare(headroom)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        yield Text(f"  {'  '.join(cells)}".rstrip())
    yield Text(f"  {_sure(best)}")


def _sure(best: Evaluation) -> str:
    bases = {budget_phrases.basis(h.estimate) for h in best.headrooms if h.estimate is not None}
    met = f"Chance that the budget is met: {budget_phrases.sureness(best)}"
    return f"{met} ({'; '.join(sorted(bases))})."


def _doubt(best: Evaluation, choice: Choice, setting: Setting) -> Iterator[Text]:
    """How to find out, where nothing was measured, or not alone."""
    estimates = [h.estimate for h in best.headrooms if h.estimate is not None]
    if any(estimate.busy for estimate in estimates):
        yield Text("  Other processes kept the machine busy: measure again when it is idle.")
    if any(estimate.busy or estimate.basis != "measured" for estimate in estimates):
        yield Text(f"  To be sure: {phrases.measuring(best.label, choice.seq, setting)}")


def _evidence(one: Evaluation, choice: Choice) -> str:
    quality = one.candidate.quality
    own = (
        ""
        if quality.score is None
        else f", {quality.score:g} in {units.clean(choice.scored or '')}"
    )
    if quality.exact:
        return f"exact attention{own}"
    return f"{quality.kind}{own}, {_published(quality)}"


def _published(quality: Quality) -> str:
    if quality.lra is None:
        return "no published Long Range Arena score"
    usual = "" if quality.usual else " with the authors' options"
    return f"published Long Range Arena average {quality.lra:.1f} %{usual}"


def _nothing(choice: Choice, relaxed: Sequence[Relaxation], setting: Setting) -> Iterator[Text]:
    """That nothing fits, or that it is not known whether something does."""
    far = [one for one in choice.evaluations if one.rejection and one.rejection.why == "far"]
    unknown = far or [one for one in choice.evaluations if not one.rejection and not one.known]
    said = "Nothing is known to fit" if unknown else "Nothing fits"
    yield Text(f"{said} {limits(choice.required)} at {units.length(choice.seq)} tokens.", "bold")
    for change in relaxed:
        yield Text(f"  {relaxation(change)}")
    if far:
        yield Text(f"  To find out: {phrases.measuring(far[0].label, choice.seq, setting)}")


def relaxation(change: Relaxation) -> str:
    """`at 24k longformer fits`, `at 61 ms performer fits`."""
    name = units.clean(change.label)
    if change.inexact:
        return f"without --exact {name} fits"
    if change.seq is not None:
        return f"at {units.length(change.seq)} tokens {name} fits"
    looser = [
        ("" if limit.metric.quantile is None else f"{limit.metric.name} ")
        + budget_phrases.rounded_up(limit.max, limit.metric)
        for limit in change.limits
    ]
    return f"at {' and '.join(looser)} {name} fits"


def _table(choice: Choice) -> Grid:
    shown = resources(choice)
    columns = (
        Column(title="variant", folds=1),
        *(Column(title=heading(name, choice.required), right=True) for name in shown),
        Column(title="score" if choice.scored else "LRA", right=True, extra=1),
        Column(title="chance", right=True),
        Column(title="verdict"),
        Column(title=""),
    )
    return Grid(columns, [_row(one, choice, shown) for one in choice.evaluations])


def heading(resource: str, required: Requirements) -> str:
    """`latency`, or the percentile of it that is limited."""
    return required.metric(resource).title


def resources(choice: Choice) -> list[str]:
    asked = {limit.resource for limit in choice.required.limits}
    return [name for name in RESOURCES if name in asked or name != "energy"]


def _row(one: Evaluation, choice: Choice, shown: Sequence[str]) -> Row:
    name = Text(units.clean(one.label), "bold" if one is choice.best else "")
    if one.rejection is not None:
        return Row(cells=(name, Text(budget_phrases.rejection(one.rejection, choice.seq), "dim")))
    quality = one.candidate.quality
    score = quality.score if choice.scored else quality.lra
    return Row(
        cells=(
            name,
            *(Text(_amount(one, name, choice)) for name in shown),
            Text("" if score is None else f"{score:g}" if choice.scored else f"{score:.1f}"),
            Text(budget_phrases.sureness(one)),
            Text(verdict(one, choice), "" if one.fits else "yellow"),
        )
    )


def _amount(one: Evaluation, resource: str, choice: Choice) -> str:
    return budget_phrases.amount(one.estimates.get(resource), choice.required.metric(resource))


def verdict(one: Evaluation, choice: Choice) -> str:
    """Why the candidate was chosen, ranks lower, or lost."""
    if one.rejection is not None:
        return budget_phrases.rejection(one.rejection, choice.seq)
    beaten = choice.dominated.get(one.label)
    dominated = f"; dominated by {units.clean(beaten)}" if beaten else ""
    if one is choice.best:
        return f"recommended{dominated}"
    if one.fits:
        return f"fits; {_behind(one, choice)}{dominated}"
    broken = [h for h in one.headrooms if h.probability < one.confidence]
    return ", ".join(map(budget_phrases.misses, broken)) + dominated


def _behind(one: Evaluation, choice: Choice) -> str:
    """What puts a candidate that fits after the best one."""
    best = choice.best
    assert best is not None
    mine, theirs = one.candidate.quality, best.candidate.quality
    if theirs.exact and not mine.exact:
        return "not exact"
    if choice.prefer == "quality" and mine.order != theirs.order:
        return _poorer(mine, theirs)
    word = "needs more memory" if choice.prefer == "memory" else "slower"
    pairs = [(one.amount(r), best.amount(r)) for r in ("latency", "memory")]
    mine_first, best_first = pairs[1] if choice.prefer == "memory" else pairs[0]
    return word if mine_first > best_first else "ranks lower otherwise"


def _poorer(mine: Quality, theirs: Quality) -> str:
    """The first evidence that speaks for the other."""
    if mine.score != theirs.score:
        return "no score" if mine.score is None else "a lower score"
    if mine.lra != theirs.lra:
        return "no published score" if mine.lra is None else "a lower published score"
    return "other options than its authors'" if mine.usual != theirs.usual else "another kind"


def _legend(choice: Choice) -> Iterator[str]:
    able = [one for one in choice.evaluations if one.rejection is None]
    estimates = [estimate for one in able for estimate in one.estimates.values()]
    if any(estimate.basis != "measured" for estimate in estimates):
        yield "~ not measured at this length: interpolated or predicted; --explain says how"
    if any(estimate.busy for estimate in estimates):
        yield "! other processes kept the machine busy: the latency may be too high"
    if choice.scored:
        yield f"score: {units.clean(choice.scored)}, as the profile has it; more is better"
    elif any(one.candidate.quality.lra is not None for one in able):
        yield f"LRA: Long Range Arena average in %, as published ({SOURCE})"
    yield f"Order: exact attention first, then {ORDERS[choice.prefer]}."


def explanation(choice: Choice) -> Lines:
    """Each number, where it comes from and how well it is known."""
    shown: list[RenderableType] = []
    for one in choice.evaluations:
        shown.append(Text(f"{units.clean(one.label)}: {verdict(one, choice)}", "bold"))
        shown += [Text(f"  {line}") for line in _facts(one, choice)]
    shown += [Text(), Text(METHOD, "dim")]
    return Lines(*shown)


def _facts(one: Evaluation, choice: Choice) -> Iterator[str]:
    if one.rejection is not None:
        return
    asked = {headroom.limit.resource: headroom.limit for headroom in one.headrooms}
    for name, estimate in one.estimates.items():
        text = f"{name} {_amount(one, name, choice)}, {budget_phrases.basis(estimate)}"
        interval = budget_phrases.interval(estimate, choice.required.metric(name))
        text += f"; 95 % interval {interval}"
        if name in asked:
            measured = estimate.basis == "measured"
            kept = estimate.probability(asked[name].max)
            sure = budget_phrases.chance(kept, measured=measured)
            text += f"; at most {budget_phrases.limit(asked[name])} with a chance of {sure}"
        yield text
    for name in asked.keys() - one.estimates.keys():
        yield f"{name}: not known at this length"
    yield f"quality: {_evidence(one, choice)}"


METHOD = (
    "latency: the median of the rounds' medians, or the quantile of all samples; its interval"
    " holds those of all rounds. memory: the peak of a call beyond inputs and weights, and what"
    " decoding keeps. Between measured lengths a curve runs straight on logarithmic axes; beyond"
    " them it grows as the counted cost. A chance takes the interval as 95 % of a bell on the"
    " logarithmic axis; the chances of several limits are multiplied. Quality is not measured"
    " by effattn."
)
