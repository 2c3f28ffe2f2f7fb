"""What fits and is not dominated, or what comes nearest: the table of an answer."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import RESOURCES, Requirements
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.analysis.selection.relaxation import Relaxation
from effattn_cli.app.choosing import Place
from effattn_cli.report import phrases
from effattn_cli.report.choice import budget_phrases, evidence_words, sentence
from effattn_cli.report.choice.places import LEGEND, cost, cost_within, titles
from effattn_cli.report.layout import NARROWEST, Column, Grid, Row
from effattn_cli.setting import Setting

ROWS, NEAREST = 6, 4  # of the table, so that the answer fits a small screen


def answer(
    choice: Choice,
    setting: Setting,
    relaxed: Sequence[Relaxation],
    plugins: Mapping[str, str],
    *,
    everything: bool,
    places: Sequence[Place] = (),
) -> Lines:
    """The question, the table, and what is to be known of it. The sentence stands below that."""
    listed = _listed(choice, everything=everything)
    shown: list[RenderableType] = [*titles(setting, places), Text(_question(choice)), Text()]
    if listed:
        shown += [_table(listed, choice, everything=everything), Text()]
    shown += [Text(line, "dim") for line in _legend(listed, choice, plugins)]
    if not everything:
        shown += [Text(_counted(listed, choice))]
    if choice.best is not None:
        shown += [*_doubt(choice.best, choice, setting), Text()]
    else:
        shown += _nearer(choice, relaxed, setting)
    return Lines(*shown)


def _question(choice: Choice) -> str:
    """`4k tokens within 50 ms, 90 % sure, keeping the weights`."""
    required = choice.required
    limits = budget_phrases.within(required)
    sure = f", {units.percent(required.confidence)} sure" if required.limits else ""
    within = f" {limits}{sure}" if limits else ""
    words = {"any": "", "keep": ", keeping the weights", "train": ", trained with it"}
    asked = f"{', exact' if required.exact else ''}{words[required.weights]}"
    by = "" if choice.prefer == "quality" else f", by {choice.prefer}"
    return f"{units.length(choice.seq)} tokens{within}{asked}{by}"


def _listed(choice: Choice, *, everything: bool) -> list[Evaluation]:
    if everything:
        return list(choice.evaluations)
    if choice.best is not None:
        return choice.front[:ROWS]
    able = [one for one in choice.evaluations if one.rejection is None and one.known]
    return [one for one in able if one.label not in choice.dominated][:NEAREST]


def _table(listed: Sequence[Evaluation], choice: Choice, *, everything: bool) -> Grid:
    shown = resources(choice)
    detailed = everything or choice.best is None
    columns = (
        Column(title="variant", folds=1),
        *([Column(title="machine", folds=1)] if has_machines(choice) else []),
        *(_resource_column(name, choice, detailed=detailed) for name in shown),
        *([Column(title="cost", right=True)] if is_priced(choice) else []),
        Column(title="swap"),
        *([Column(title="chance", right=True)] if choice.required.limits else []),
        Column(title="evidence", extra=2 if detailed else 0, folds=2),
        *(
            [
                Column(title="decision", min_width=NARROWEST if has_machines(choice) else 0),
                Column(title=""),
            ]
            if detailed
            else []
        ),
    )
    return Grid(columns, [_row(one, choice, shown, detailed=detailed) for one in listed])


def _resource_column(resource: str, choice: Choice, *, detailed: bool) -> Column:
    """What is not limited makes room for verdicts on machines."""
    limited = resource in {limit.resource for limit in choice.required.limits}
    spare = detailed and has_machines(choice) and not limited
    return Column(title=heading(resource, choice.required), right=True, extra=1 if spare else 0)


def heading(resource: str, required: Requirements) -> str:
    """`latency`, or the percentile of it that is limited."""
    return required.metric(resource).title


def resources(choice: Choice) -> list[str]:
    asked = {limit.resource for limit in choice.required.limits}
    return [name for name in RESOURCES if name in asked or name != "energy"]


def _row(one: Evaluation, choice: Choice, shown: Sequence[str], *, detailed: bool) -> Row:
    style = "bold" if one is choice.best else ""
    named = [Text(units.clean(one.candidate.typed), style)]
    if has_machines(choice):
        named.append(Text(units.clean(one.candidate.machine or ""), style))
    if one.rejection is not None:
        return Row(cells=(*named, Text(budget_phrases.rejection(one.rejection, choice.seq), "dim")))
    cells = [
        *named,
        *(Text(amount(one, name, choice)) for name in shown),
        *([Text(cost(one) if detailed else cost_within(one))] if is_priced(choice) else []),
        Text(sentence.swap_of(one)),
        *([Text(budget_phrases.sureness(one))] if choice.required.limits else []),
        Text(evidence_words.column(one, choice)),
    ]
    if detailed:
        cells.append(Text(decision(one, choice), "" if one.fits else "yellow"))
    return Row(cells=tuple(cells))


def has_machines(choice: Choice) -> bool:
    """Whether each candidate is one of a machine that is named."""
    return any(one.candidate.machine is not None for one in choice.evaluations)


def is_priced(choice: Choice) -> bool:
    return any(one.candidate.price is not None for one in choice.evaluations)


def amount(one: Evaluation, resource: str, choice: Choice) -> str:
    return budget_phrases.amount(one.estimates.get(resource), choice.required.metric(resource))


def decision(one: Evaluation, choice: Choice) -> str:
    """Whether the candidate was chosen, is tied, ranks lower, or lost, and why."""
    if one.rejection is not None:
        return budget_phrases.rejection(one.rejection, choice.seq)
    beaten = choice.dominated.get(one.label)
    dominated = f"; dominated by {units.clean(beaten)}" if beaten else ""
    if one is choice.best:
        return f"recommended{dominated}"
    if one.fits:
        return f"fits{', tied' if one.label in choice.tied else ''}{dominated}"
    broken = [h for h in one.headrooms if h.probability < one.confidence]
    return ", ".join(map(budget_phrases.misses, broken)) + dominated


def _counted(listed: Sequence[Evaluation], choice: Choice) -> str:
    """`13 fit (8 dominated), 17 over the budget, 43 ruled out: --all`."""
    able = [one for one in choice.evaluations if one.rejection is None and not one.fits]
    fits, front = len(choice.fitting), len(choice.front)
    beaten = [f"{fits - front} dominated"] if fits > front else []
    beaten += [f"{front - len(listed)} more on the front"] if fits and front > len(listed) else []
    numbers = {
        "fit" + (f" ({', '.join(beaten)})" if beaten else ""): fits,
        "over the budget": sum(one.known for one in able),
        "not known": sum(not one.known for one in able),
        "ruled out": sum(one.rejection is not None for one in choice.evaluations),
    }
    said = ", ".join(f"{number} {word}" for word, number in numbers.items() if number)
    return f"{said}: --all"


def _doubt(best: Evaluation, choice: Choice, setting: Setting) -> Iterator[Text]:
    """How to find out, where nothing was measured, or not alone."""
    estimates = [h.estimate for h in best.headrooms if h.estimate is not None]
    estimates = estimates or list(best.estimates.values())
    if any(estimate.busy for estimate in estimates):
        yield Text("Other processes kept the machine busy: measure again when it is idle.")
    unsure = [one for one in estimates if one.busy or one.basis != "measured"]
    if unsure:
        bases = dict.fromkeys(map(budget_phrases.basis, unsure))
        yield Text(f"{units.clean(best.label)} was {'; '.join(bases)}. To be sure:")
        yield Text(f"  {_measuring(best, choice, setting)}")


def _measuring(one: Evaluation, choice: Choice, setting: Setting) -> str:
    """The command that measures a candidate at the length, in the setting of its machine."""
    there = one.candidate.setting or setting
    return phrases.measuring(one.candidate.typed, choice.seq, there)


def _nearer(choice: Choice, relaxed: Sequence[Relaxation], setting: Setting) -> Iterator[Text]:
    """What would make something fit, or how to find out."""
    for change in relaxed:
        yield Text(f"  {relaxation(change)}")
    far = [one for one in choice.evaluations if one.rejection and one.rejection.why == "far"]
    if far:
        yield Text(f"To find out: {_measuring(far[0], choice, setting)}")


def relaxation(change: Relaxation) -> str:
    """`at 24k longformer fits`, `at 61 ms performer fits`."""
    name = units.clean(change.label)
    if change.without == "fidelity" and change.finding is not None:
        return f"with {evidence_words.of_error(change.finding)} {name} fits"
    if change.without is not None:
        flag = "keep-weights" if change.without == "weights" else change.without
        return f"without --{flag} {name} fits"
    if change.seq is not None:
        return f"at {units.length(change.seq)} tokens {name} fits"
    looser = [
        ("" if limit.metric.quantile is None else f"{limit.metric.name} ")
        + budget_phrases.rounded_up(limit.max, limit.metric)
        for limit in change.limits
    ]
    return f"at {' and '.join(looser)} {name} fits"


def _legend(
    listed: Sequence[Evaluation], choice: Choice, plugins: Mapping[str, str]
) -> Iterator[str]:
    able = [one for one in listed if one.rejection is None]
    estimates = [estimate for one in able for estimate in one.estimates.values()]
    qualities = [one.candidate.quality for one in able]
    if any(estimate.basis != "measured" for estimate in estimates):
        yield "~ not measured at this length: interpolated or predicted; --explain says how"
    if any(estimate.busy for estimate in estimates):
        yield "! other processes kept the machine busy: the latency may be too high"
    if is_priced(choice):
        yield LEGEND
    yield from evidence_words.legend(listed, choice)
    if any(not quality.checked and quality.keeps_weights for quality in qualities):
        yield "? only its card says so: effattn check NAME"
    others = [one.label for one in choice.evaluations if one.rejection is None]
    named = [f"{label} ({plugins[label]})" for label in others if label in plugins]
    if named:
        yield f"not effattn's own: {units.clean(', '.join(named))}"
