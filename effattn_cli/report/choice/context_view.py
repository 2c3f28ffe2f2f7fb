"""Answers over many lengths: what to use at each, and how far each variant goes."""

from collections.abc import Sequence

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection import spans
from effattn_cli.analysis.selection.candidates import Requirements
from effattn_cli.analysis.selection.evidence import TASKS
from effattn_cli.analysis.selection.ranking import Choice
from effattn_cli.analysis.selection.relaxation import MaxContext, relaxations
from effattn_cli.app.choosing import Place
from effattn_cli.report.choice import budget_phrases, recommendation, sentence
from effattn_cli.report.choice.places import LEGEND, cost, titles
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.setting import Setting

ROWS = 8  # how many that go furthest are listed, so that they fit a small screen


def plan(
    choices: Sequence[Choice], single: Choice, setting: Setting, places: Sequence[Place] = ()
) -> Lines:
    """A row for every length: what the one variant for all needs there, and the best one there."""
    required = choices[0].required
    shown = recommendation.resources(choices[0])
    priced = recommendation.is_priced(single)
    chosen = single.best or spans.farthest(choices)
    label = None if chosen is None else chosen.label
    columns = (
        Column(title="seq", right=True),
        *(Column(title=recommendation.heading(name, required), right=True) for name in shown),
        *([Column(title="chance", right=True)] if required.limits else []),
        *([Column(title="cost", right=True)] if priced else []),
        Column(title="best at this length", folds=1),
        Column(title="cost" if priced else recommendation.heading(shown[0], required), right=True),
        Column(title="swap"),
    )
    rows = [_plan_row(choice, label, shown) for choice in choices]
    within = budget_phrases.within(required)
    for_all = f"{units.clean(label)} at each length, beside" if label else "at each length"
    asked = f"{within}; {for_all} the best one there".lstrip("; ")
    notes = [Text("~ not measured at this length; one --seq shows why not the others", "dim")]
    notes += [Text(LEGEND, "dim")] if priced else []
    return Lines(
        *titles(setting, places),
        Text(asked),
        Text(),
        Grid(columns, rows),
        Text(),
        *notes,
        Text(),
        sentence.over(choices, single),
    )


def _plan_row(choice: Choice, label: str | None, shown: Sequence[str]) -> Row:
    seq, best = Text(units.length(choice.seq)), choice.best
    if best is None:
        return Row(cells=(seq, Text(_nearest(choice), "yellow")))
    mine = next((one for one in choice.evaluations if one.label == label), best)
    priced = recommendation.is_priced(choice)
    there = cost(best) if priced else recommendation.amount(best, shown[0], choice)
    return Row(
        cells=(
            seq,
            *(Text(recommendation.amount(mine, name, choice)) for name in shown),
            *([Text(budget_phrases.sureness(mine))] if choice.required.limits else []),
            *([Text(cost(mine))] if priced else []),
            Text(units.clean(best.label), "bold" if best.label == label else ""),
            Text(there),
            Text(sentence.swap_of(best)),
        )
    )


def _nearest(chosen: Choice) -> str:
    """`nothing fits; at 61 ms performer fits`."""
    near = [recommendation.relaxation(each) for each in relaxations(chosen)[:1]]
    return "; ".join(["nothing fits", *near])


def longest(
    contexts: Sequence[MaxContext],
    setting: Setting,
    required: Requirements,
    places: Sequence[Place] = (),
    *,
    everything: bool,
) -> Lines:
    """How far each variant goes within the limits; the first ones, or everything."""
    able = [each for each in contexts if each.candidate.rejection is None]
    listed = contexts if everything else able[:ROWS]
    columns = (
        Column(title="variant", folds=1),
        Column(title="longest", right=True),
        Column(title="surely", right=True),
        Column(title="at most", right=True),
        Column(title="swap", extra=1),
        Column(title="what ends it"),
        Column(title=""),
    )
    best = next((each for each in contexts if each.seq is not None), None)
    said = _nowhere(contexts, required) if best is None else _furthest(best) + _closer(contexts)
    note = (
        "~ not a measured length. surely: the whole 95 % interval is within; at most: its lower end"
    )
    return Lines(
        *titles(setting, places),
        Text(f"the longest context {budget_phrases.within(required)}"),
        Text(),
        Grid(columns, [_context_row(each, required) for each in listed]),
        Text(),
        Text(note, "dim"),
        *(
            [Text(f"{rest} more: --all lists them.")]
            if (rest := len(contexts) - len(listed))
            else []
        ),
        Text(),
        Text(said, "bold"),
    )


def _nowhere(contexts: Sequence[MaxContext], required: Requirements) -> str:
    able = [each for each in contexts if each.candidate.rejection is None]
    unknown = {_unknown(each, required) for each in able}
    if able and None not in unknown:
        names = " or ".join(sorted(name for name in unknown if name))
        why = f": {sentence.METERS}" if "energy" in unknown else ""
        return f"No variant has a measured {names}, so none can be recommended{why}."
    return "Nothing fits at any length."


def _furthest(best: MaxContext) -> str:
    assert best.seq is not None
    more = " or more" if best.open else ""
    name = units.clean(best.candidate.label)
    cost = "" if best.candidate.quality.keeps_weights else ", and must be trained"
    return f"{name} goes furthest: {_length(best, best.seq)}{more} tokens{cost}."


def _closer(contexts: Sequence[MaxContext]) -> str:
    """The same of what keeps a model's weights, and of exact attention."""
    able = [each for each in contexts if each.seq is not None]
    said, best = "", able[0].candidate.quality
    kept = next((each for each in able if each.candidate.quality.keeps_weights), None)
    exact = next((each for each in able if each.candidate.quality.exact), None)
    if kept is not None and kept is not exact and not best.keeps_weights:
        assert kept.seq is not None
        name = units.clean(kept.candidate.label)
        said += f" {name} goes furthest with a model's own weights: {_length(kept, kept.seq)}."
    if exact is not None and not best.exact:
        assert exact.seq is not None
        name = units.clean(exact.candidate.label)
        said += f" Exact attention ({name}) goes to {_length(exact, exact.seq)}."
    return said


def _context_row(context: MaxContext, required: Requirements) -> Row:
    name = Text(units.clean(context.candidate.label))
    rejection = context.candidate.rejection
    if rejection is not None:
        return Row(cells=(name, Text(budget_phrases.rejection(rejection, None), "dim")))
    cells = [
        Text("-" if seq is None else _length(context, seq))
        for seq in (context.seq, context.lower, context.upper)
    ]
    ends = Text(_end(context, required))
    return Row(cells=(name, *cells, Text(context.candidate.quality.swap), ends))


def _length(context: MaxContext, seq: int) -> str:
    points = [where for curve in context.candidate.curves.values() for where in curve.seqs]
    return units.length(seq) if seq in points else f"~{units.length(seq)}"


def _unknown(context: MaxContext, required: Requirements) -> str | None:
    """What is limited, and known at no length."""
    asked = (limit.resource for limit in required.limits)
    return next((name for name in asked if not context.candidate.curves[name].seqs), None)


def _end(context: MaxContext, required: Requirements) -> str:
    proof = context.ends.rejection if context.ends is not None else None
    if context.seq is None and (proof is None or proof.why not in TASKS):
        unknown = _unknown(context, required)
        return f"its {unknown} is not known" if unknown else "over the limit at every length"
    if context.ends is None:
        return "nothing seen; it may go further"
    if context.ends.rejection is not None:
        return budget_phrases.rejection(context.ends.rejection, None)
    binding = context.ends.binding
    return (
        ""
        if binding is None
        else f"{binding.limit.resource}: {budget_phrases.limit(binding.limit)}"
    )
