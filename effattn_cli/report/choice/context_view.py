"""Answers over many lengths: what to use at each, and how far each variant goes."""

from collections.abc import Sequence

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import Requirements
from effattn_cli.analysis.selection.ranking import Choice
from effattn_cli.analysis.selection.relaxation import MaxContext, relaxations
from effattn_cli.report.choice import budget_phrases, recommendation
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.setting import Setting


def plan(choices: Sequence[Choice], setting: Setting) -> Lines:
    """A row for every length: what to use there."""
    required = choices[0].required
    shown = recommendation.resources(choices[0])
    columns = (
        Column(title="seq", right=True),
        Column(title="variant", folds=1),
        *(Column(title=recommendation.heading(name, required), right=True) for name in shown),
        Column(title="chance", right=True),
    )
    rows = []
    for choice in choices:
        best, seq = choice.best, Text(units.length(choice.seq))
        if best is None:
            rows.append(Row(cells=(seq, Text(_nearest(choice), "yellow"))))
            continue
        amounts = [
            Text(budget_phrases.amount(best.estimates.get(name), required.metric(name)))
            for name in shown
        ]
        label = Text(units.clean(best.label), "bold")
        rows.append(Row(cells=(seq, label, *amounts, Text(budget_phrases.sureness(best)))))
    note = "~ not measured at this length; one --seq shows why not the others"
    asked = Text(f"within {recommendation.limits(required)}")
    return Lines(Text(setting.title), asked, Text(), Grid(columns, rows), Text(note, "dim"))


def _nearest(chosen: Choice) -> str:
    """`nothing fits; at 61 ms performer fits`."""
    near = [recommendation.relaxation(each) for each in relaxations(chosen)[:1]]
    return "; ".join(["nothing fits", *near])


def longest(contexts: Sequence[MaxContext], setting: Setting, required: Requirements) -> Lines:
    """How far each variant goes within the limits."""
    columns = (
        Column(title="variant", folds=1),
        Column(title="longest", right=True),
        Column(title="surely", right=True),
        Column(title="at most", right=True),
        Column(title="LRA", right=True, extra=1),
        Column(title="what ends it"),
        Column(title=""),
    )
    best = next((each for each in contexts if each.seq is not None), None)
    said = _nowhere(contexts, required) if best is None else _furthest(best) + _exact(contexts)
    note = "~ not a measured length. surely: the whole interval is within; at most: an end of it"
    return Lines(
        Text(setting.title),
        Text(f"the longest context within {recommendation.limits(required)}"),
        Text(),
        Text(said, "bold"),
        Text(),
        Grid(columns, [_context_row(each, required) for each in contexts]),
        Text(),
        Text(note, "dim"),
    )


def _nowhere(contexts: Sequence[MaxContext], required: Requirements) -> str:
    able = [each for each in contexts if each.candidate.rejection is None]
    unknown = {_unknown(each, required) for each in able}
    if able and None not in unknown:
        names = " or ".join(sorted(name for name in unknown if name))
        return f"Nothing is known to fit: no {names} was measured."
    return "Nothing fits at any length."


def _furthest(best: MaxContext) -> str:
    assert best.seq is not None
    more = " or more" if best.open else ""
    name = units.clean(best.candidate.label)
    return f"{name} goes furthest: {_length(best, best.seq)}{more} tokens."


def _exact(contexts: Sequence[MaxContext]) -> str:
    """The same of exact attention, where it is not the one that goes furthest."""
    able = [each for each in contexts if each.seq is not None]
    exact = next((each for each in able if each.candidate.quality.exact), None)
    if exact is None or exact is able[0]:
        return ""
    assert exact.seq is not None
    return f" Exact attention ({units.clean(exact.candidate.label)}): {_length(exact, exact.seq)}."


def _context_row(context: MaxContext, required: Requirements) -> Row:
    name = Text(units.clean(context.candidate.label))
    rejection = context.candidate.rejection
    if rejection is not None:
        return Row(cells=(name, Text(budget_phrases.rejection(rejection, None), "dim")))
    lra = context.candidate.quality.lra
    cells = [
        Text("-" if seq is None else _length(context, seq))
        for seq in (context.seq, context.lower, context.upper)
    ]
    ends = Text(_end(context, required))
    return Row(cells=(name, *cells, Text("" if lra is None else f"{lra:.1f}"), ends))


def _length(context: MaxContext, seq: int) -> str:
    points = [where for curve in context.candidate.curves.values() for where in curve.seqs]
    return units.length(seq) if seq in points else f"~{units.length(seq)}"


def _unknown(context: MaxContext, required: Requirements) -> str | None:
    """What is limited, and known at no length."""
    asked = (limit.resource for limit in required.limits)
    return next((name for name in asked if not context.candidate.curves[name].seqs), None)


def _end(context: MaxContext, required: Requirements) -> str:
    if context.seq is None:
        unknown = _unknown(context, required)
        return f"its {unknown} is not known" if unknown else "too much at every length"
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
