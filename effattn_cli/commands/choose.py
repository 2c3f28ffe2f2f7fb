"""`effattn choose`: which variant to deploy within a budget, from saved profiles."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from effattn_cli.commands import choose_model
from effattn_cli.commands import choose_options as asked
from effattn_cli.commands import model_options as m
from effattn_cli.commands import options as o

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from effattn_cli.app.choosing import Case

NOTHING = 1  # exit code: nothing fits


@o.takes(*o.filters(asked.WHAT), behind=o.rare_filters())
def choose(
    profiles: asked.Profiles = None,
    seq: asked.Seq = None,
    variants: asked.Variants = None,
    exact: asked.Exact = False,
    keep_weights: asked.Keep = False,
    trained: asked.Trained = False,
    latency: asked.Latency = None,
    memory: asked.Memory = None,
    energy: asked.Energy = None,
    fidelity: asked.Fidelity = None,
    recall: asked.Recall = None,
    update: asked.Update = None,
    parity: asked.Parity = None,
    confidence: asked.Confidence = "90%",
    evidence: asked.Evidence = None,
    prefer: asked.Prefer = None,
    price: asked.Prices = None,
    model: asked.Model = None,
    context: asked.Context = None,
    prefill: asked.Prefill = None,
    tokens_per_second: asked.Rate = None,
    weights: m.Weights = None,
    kv_dtype: m.KvDtype = None,
    replace: m.Replace = None,
    keep: m.Keep = None,
    everything: asked.All = False,
    explain: asked.Explain = False,
    chart: o.ChartFlag = None,
    emit: asked.Emit = None,
    force: o.Force = False,
    json: o.Json = False,
    **options: Any,
) -> None:
    """Recommend the variant to deploy within a latency, memory or energy budget.

    What it must be able to do comes first, then the limits, then the evidence on its quality.
    """
    from effattn_cli.app import choosing, machines
    from effattn_cli.commands.notes import note, told
    from effattn_cli.plan import needs
    from effattn_cli.ranges import lengths

    kept = needs.weights(keep=keep_weights, trained=trained)
    loads = asked.loads({"recall": recall, "update": update, "parity": parity})
    if model is not None:
        needs.refuse_for_models(
            {"latency": latency, "energy": energy, "variant": variants, "exact": exact,
             "price": price}
        )  # fmt: skip
        quality = needs.requirements(
            {}, {}, confidence, exact=False, weights=kept, fidelity=fidelity, loads=loads
        )
        typed = choose_model.Typed(
            model=model, context=context or seq, memory=memory, prefill=prefill,
            tokens_per_second=tokens_per_second, weights=weights, cache=kv_dtype,
            replacements=replace or (), keep=keep, profiles=profiles or (), quality=quality,
            evidence=evidence or (),
        )  # fmt: skip
        wanted = choose_model.Wanted(everything=everything, json=json, emit=emit, force=force)
        raise typer.Exit(choose_model.choose(typed, options, wanted))
    needs.refuse_for_layers(
        {"prefill": prefill, "tokens-per-second": tokens_per_second, "keep": keep}
    )
    setting = o.filtered(options)
    limits = {"latency": latency, "memory": memory, "energy": energy}
    seqs = lengths(seq) if seq else ()
    required = needs.requirements(
        limits, setting, confidence, exact=exact, weights=kept, fidelity=fidelity, loads=loads
    )
    preference = needs.preference(prefer, price or (), seqs)
    needs.ask_something(required, preference, seqs)
    question = choosing.Question(
        profiles=profiles or (),
        setting=setting,
        variants=variants or (),
        required=required,
        prefer=preference,
        evidence=evidence or (),
    )
    case = machines.case_of(question, price or (), note, told)
    if emit is not None:
        code = _emit(case, seqs, emit, force=force, json=json)
    elif not seqs:
        code = _longest(case, json=json, everything=everything)
    elif len(seqs) > 1:
        code = _plan(case, seqs, json=json)
    else:
        shown = View(json=json, everything=everything, explain=explain, chart=bool(chart))
        code = _answer(case, seqs[0], shown)
    raise typer.Exit(code)


@dataclass(frozen=True)
class View:
    """How an answer is to be shown."""

    json: bool
    everything: bool
    explain: bool
    chart: bool


def _opened(case: "Case") -> "Console":
    """The console, with a line that says what the numbers are of: one layer, on which machine."""
    from effattn_cli.report import phrases
    from effattn_cli.report.console import stdout

    console = stdout()
    origin = f"One layer on {phrases.origin(case.profile)}"
    console.print(origin, style="dim", highlight=False, markup=False)
    return console


def _answer(case: "Case", seq: int, shown: View) -> int:
    from effattn_cli.analysis.selection.relaxation import relaxations
    from effattn_cli.report import charts, terminal_chart
    from effattn_cli.report.choice import choice_json, explanation, recommendation, sentence

    choice = case.at(seq)
    relaxed = relaxations(choice) if choice.best is None else []
    if shown.json:
        typer.echo(choice_json.choice(choice, case.setting, relaxed, case.places))
        return 0 if choice.best is not None else NOTHING
    console = _opened(case)
    answer = recommendation.answer(
        choice,
        case.setting,
        relaxed,
        case.plugins,
        places=case.places,
        everything=shown.everything,
    )
    console.print(answer, highlight=False)
    if shown.explain:
        console.print(explanation.explanation(choice), highlight=False)
    terminal_chart.show(charts.of_choice(choice), console, asked=shown.chart)
    console.print(sentence.answer(choice), highlight=False)
    return 0 if choice.best is not None else NOTHING


def _plan(case: "Case", seqs: "Sequence[int]", *, json: bool) -> int:
    from effattn_cli.report.choice import choice_json, context_view

    choices = [case.at(seq) for seq in seqs]
    single = case.over(seqs)
    if json:
        typer.echo(choice_json.plan(choices, single, case.setting, case.places))
    else:
        view = context_view.plan(choices, single, case.setting, case.places)
        _opened(case).print(view, highlight=False)
    return 0 if any(choice.best for choice in choices) else NOTHING


def _longest(case: "Case", *, json: bool, everything: bool) -> int:
    from effattn_cli.analysis.selection.relaxation import max_contexts
    from effattn_cli.report.choice import choice_json, context_view

    contexts = max_contexts(case.candidates, case.required)
    if json:
        typer.echo(choice_json.longest(contexts, case.setting, case.required, case.places))
    else:
        view = context_view.longest(
            contexts, case.setting, case.required, case.places, everything=everything
        )
        _opened(case).print(view, highlight=False)
    return 0 if any(each.seq for each in contexts) else NOTHING


def _emit(case: "Case", seqs: "Sequence[int]", path: Path, *, force: bool, json: bool) -> int:
    """A rule for each length, of those measured if none is given, at which something fits."""
    from effattn_cli.app.choosing import policy
    from effattn_cli.app.named_profiles import unless_there
    from effattn_cli.commands.notes import note, told
    from effattn_cli.errors import UsageError
    from effattn_cli.units import length

    if len(case.places) > 1:
        names = " and ".join(place.name for place in case.places[:2])
        raise UsageError(f"a policy is for one machine, not for {names}", "name its profile alone")
    unless_there(path, force=force)
    lengths = seqs or sorted({record.cell.seq for record in case.records})
    made = policy(case, [case.at(seq) for seq in lengths])
    if made is None:
        _plan(case, lengths, json=json)
        told("nothing fits at any of these lengths; no policy is written")
        return NOTHING
    there = {rule.up_to for rule in made.rules}
    if missing := [length(seq) for seq in lengths if seq not in there]:
        note(f"nothing fits at {', '.join(missing)}: no rule there")
    made.write(path)
    _plan(case, lengths, json=json)
    told(f"saved: {path}")
    return 0
