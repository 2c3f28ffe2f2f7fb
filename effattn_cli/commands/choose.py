"""`effattn choose`: which variant to deploy within a budget, from saved profiles."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from effattn_cli.architecture import Weights as Form
from effattn_cli.commands import choose_model
from effattn_cli.commands import options as o

if TYPE_CHECKING:
    from collections.abc import Sequence

    from effattn_cli.app.choosing import Case

WHAT, BUDGET, ANSWER = "What is asked for", "Budget", "Answer"
MODEL = "A whole model"
NOTHING = 1  # exit code: nothing fits


def _of(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel)


Profiles = Annotated[
    list[str] | None,
    o.profile_argument("Files or names. Without them: the newest that have such cells."),
]
Seq = Annotated[
    str | None,
    _of(WHAT, "--seq", "-s", metavar="RANGE",
        help="Tokens, as `32k`, or a range. Without it: the longest context that fits."),
]  # fmt: skip
Variants = Annotated[
    list[str] | None,
    _of(WHAT, "--variant", "-v", metavar="NAME",
        help="Only these: names, labels as `linformer:rank=64`, or `family:linear`."),
]  # fmt: skip
Keep = Annotated[
    bool,
    _of(WHAT, "--keep-weights", help="A trained model is given it as it is: exact or lossy."),
]
Trained = Annotated[
    bool,
    _of(
        WHAT, "--trained", help="The model is trained with it: keeping weights counts for nothing."
    ),
]
Exact = Annotated[bool, _of(WHAT, "--exact", help="It must be exact attention.")]
Model = Annotated[
    str | None,
    _of(MODEL, "--model", metavar="MODEL",
        help="A whole model: a `config.json`, a folder with one, or a known model."),
]  # fmt: skip
Context = Annotated[
    str | None, _of(MODEL, "--context", "-c", metavar="N", help="Tokens of each sequence.")
]
Prefill = Annotated[
    str | None, _of(MODEL, "--prefill", metavar="TIME", help="To read a prompt of that length.")
]
Rate = Annotated[
    float | None,
    _of(MODEL, "--tokens-per-second", metavar="N", help="After that length, over the batch."),
]
Weights = Annotated[
    Form | None,
    _of(MODEL, "--weights", help="Of the layers; else as the config says."),
]
Cache = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    _of(MODEL, "--kv-dtype", help="Of keys and values; else as the config says."),
]
Replace = Annotated[
    list[str] | None,
    _of(MODEL, "--replace", metavar="KIND=NAME", help="Other layouts: `full=gated-deltanet`."),
]
Shares = Annotated[
    str | None,
    _of(MODEL, "--keep", metavar="SHARES", help="Of the layers replaced: `1/2,1/4,0`."),
]
Latency = Annotated[
    str | None,
    _of(BUDGET, "--latency", metavar="TIME",
        help="For a call: `50ms` for the median, `p95<=50ms` for a percentile."),
]  # fmt: skip
Memory = Annotated[
    str | None,
    _of(BUDGET, "--memory", metavar="SIZE",
        help="A call's peak beyond inputs and weights, and what decoding keeps."),
]  # fmt: skip
Energy = Annotated[str | None, _of(BUDGET, "--energy", metavar="JOULES", help="For a call.")]
Confidence = Annotated[
    str,
    _of(BUDGET, "--confidence", metavar="SHARE",
        help="The least chance to keep each limit, from 0.5 (the expected value) to 0.99."),
]  # fmt: skip
Prefer = Annotated[
    Literal["quality", "speed", "memory"],
    _of(ANSWER, "--prefer", metavar="WORD",
        help="quality: your scores, exact attention, then evidence. speed, memory: the least."),
]  # fmt: skip
All = Annotated[bool, _of(ANSWER, "--all", help="Every candidate, also those that lost, and why.")]
Explain = Annotated[bool, _of(ANSWER, "--explain", help="How each number came about.")]
Chart = Annotated[bool | None, _of(ANSWER, "--chart/--no-chart", help="Draw the curves.")]
Emit = Annotated[
    Path | None, _of(ANSWER, "--emit", metavar="FILE", help="Write a policy for a service.")
]
Force = Annotated[bool, _of(ANSWER, "--force", help="Replace the policy if it is there.")]
Json = Annotated[bool, _of(ANSWER, "--json", help="Print one JSON document.")]


@o.takes(*o.filters(WHAT))
def choose(
    profiles: Profiles = None,
    seq: Seq = None,
    variants: Variants = None,
    exact: Exact = False,
    keep_weights: Keep = False,
    trained: Trained = False,
    latency: Latency = None,
    memory: Memory = None,
    energy: Energy = None,
    confidence: Confidence = "90%",
    prefer: Prefer = "quality",
    model: Model = None,
    context: Context = None,
    prefill: Prefill = None,
    tokens_per_second: Rate = None,
    weights: Weights = None,
    kv_dtype: Cache = None,
    replace: Replace = None,
    keep: Shares = None,
    everything: All = False,
    explain: Explain = False,
    chart: Chart = None,
    emit: Emit = None,
    force: Force = False,
    json: Json = False,
    **options: Any,
) -> None:
    """Recommend the variant to deploy within a latency, memory or energy budget.

    What it must be able to do comes first, then the limits, then the evidence on its quality.
    """
    from effattn_cli.app import choosing
    from effattn_cli.commands.notes import note, told
    from effattn_cli.plan import needs
    from effattn_cli.ranges import lengths

    kept = needs.weights(keep=keep_weights, trained=trained)
    if model is not None:
        needs.refuse_for_models({"latency": latency, "energy": energy, "variant": variants})
        typed = choose_model.Typed(
            model=model, context=context or seq, memory=memory, prefill=prefill,
            tokens_per_second=tokens_per_second, weights=weights, cache=kv_dtype,
            replacements=replace or (), keep=keep, profiles=profiles or (), survives=kept,
            confidence=needs.share(confidence),
        )  # fmt: skip
        wanted = choose_model.Wanted(everything=everything, json=json, emit=emit, force=force)
        raise typer.Exit(choose_model.choose(typed, options, wanted))
    needs.refuse_for_layers(
        {"prefill": prefill, "tokens-per-second": tokens_per_second, "keep": keep}
    )
    setting = o.filtered(options)
    limits = {"latency": latency, "memory": memory, "energy": energy}
    seqs = lengths(seq) if seq else ()
    required = needs.requirements(limits, setting, confidence, exact=exact, weights=kept)
    needs.ask_something(required, prefer, seqs)
    question = choosing.Question(
        profiles=profiles or (),
        setting=setting,
        variants=variants or (),
        required=required,
        prefer=prefer,
    )
    case = choosing.case_of(question, note, told)
    if emit is not None:
        code = _emit(case, seqs, emit, force=force, json=json)
    elif not seqs:
        code = _longest(case, json=json, everything=everything)
    elif len(seqs) > 1:
        code = _plan(case, seqs, json=json)
    else:
        shown = View(json=json, everything=everything, explain=explain, chart=chart)
        code = _answer(case, seqs[0], shown)
    raise typer.Exit(code)


@dataclass(frozen=True)
class View:
    """How an answer is to be shown."""

    json: bool
    everything: bool
    explain: bool
    chart: bool | None


def _answer(case: "Case", seq: int, shown: View) -> int:
    from effattn_cli.analysis.selection.relaxation import relaxations
    from effattn_cli.report import charts, terminal_chart
    from effattn_cli.report.choice import choice_json, explanation, recommendation, sentence
    from effattn_cli.report.console import stdout

    choice = case.at(seq)
    relaxed = relaxations(choice) if choice.best is None else []
    if shown.json:
        typer.echo(choice_json.choice(choice, case.setting, relaxed))
        return 0 if choice.best is not None else NOTHING
    console = stdout()
    answer = recommendation.answer(
        choice, case.setting, relaxed, case.plugins, everything=shown.everything
    )
    console.print(answer, highlight=False)
    if shown.explain:
        console.print(explanation.explanation(choice), highlight=False)
    terminal_chart.show(charts.of_choice(choice), console, asked=shown.chart)
    console.print(sentence.answer(choice), highlight=False)
    return 0 if choice.best is not None else NOTHING


def _plan(case: "Case", seqs: "Sequence[int]", *, json: bool) -> int:
    from effattn_cli.report.choice import choice_json, context_view
    from effattn_cli.report.console import stdout

    choices = [case.at(seq) for seq in seqs]
    single = case.over(seqs)
    if json:
        typer.echo(choice_json.plan(choices, single, case.setting))
    else:
        stdout().print(context_view.plan(choices, single, case.setting), highlight=False)
    return 0 if any(choice.best for choice in choices) else NOTHING


def _longest(case: "Case", *, json: bool, everything: bool) -> int:
    from effattn_cli.analysis.selection.relaxation import max_contexts
    from effattn_cli.report.choice import choice_json, context_view
    from effattn_cli.report.console import stdout

    contexts = max_contexts(case.candidates, case.required)
    if json:
        typer.echo(choice_json.longest(contexts, case.setting, case.required))
    else:
        view = context_view.longest(contexts, case.setting, case.required, everything=everything)
        stdout().print(view, highlight=False)
    return 0 if any(each.seq for each in contexts) else NOTHING


def _emit(case: "Case", seqs: "Sequence[int]", path: Path, *, force: bool, json: bool) -> int:
    """A rule for each length, of those measured if none is given, at which something fits."""
    from effattn_cli.app.choosing import policy
    from effattn_cli.app.named_profiles import unless_there
    from effattn_cli.commands.notes import note, told
    from effattn_cli.units import length

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
