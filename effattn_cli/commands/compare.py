"""`effattn compare`: what changed between saved profiles, and how sure that is."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import variant_names

if TYPE_CHECKING:
    from effattn_cli.analysis.compare.comparison import Comparison
    from effattn_cli.records import Profile
    from effattn_cli.report.compare.gate_phrases import Outcomes

BROKEN = 1  # exit code: a limit of --fail-if does not hold, or there is nothing that it could hold
Pair = tuple[str, str]
Form = Literal["text", "json", "markdown", "github"]


def compare(
    old: Annotated[str, o.profile_argument("A file, a name, @2, ref:NAME, a folder.", "OLD")],
    new: Annotated[
        list[str] | None, o.profile_argument("One or more newer profiles.", "[NEW]...")
    ] = None,
    variants: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--variants",
            metavar="OLD NEW",
            autocompletion=variant_names,
            help="Compare one variant with another: of one sweep, if NEW is left out.",
        ),
    ] = None,
    engines: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--engines",
            metavar="OLD NEW",
            help="Compare one engine with another: of one sweep, if NEW is left out.",
        ),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold",
            metavar="SHARE",
            help=f"Ignore changes smaller than this. {o.unless_given('3%')}",
            show_default=False,
        ),
    ] = "3%",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="LIMIT",
            help="Exit with 1 if a limit is exceeded: 'latency>5%' (quote it). Repeatable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Unclear or missing cells fail --fail-if, too.")
    ] = False,
    all: Annotated[bool, typer.Option("--all", help="Show unchanged cells, too.")] = False,
    json: o.Json = False,
    markdown: Annotated[
        bool, o.output("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    output_format: Annotated[
        Form | None,
        o.output(
            "--output-format",
            metavar="FORM",
            help="text, github (annotations of a workflow), json, or markdown.",
        ),
    ] = None,
    chart: o.ChartFlag = None,
) -> None:
    """Compare profiles: what got faster, slower, larger or smaller, and what the noise hides."""
    from effattn_cli.analysis.compare import comparison as comparing
    from effattn_cli.analysis.compare import gate
    from effattn_cli.errors import UsageError
    from effattn_cli.quantities import parse_share
    from effattn_cli.report.compare import gate_phrases

    form = _form(output_format, json=json, markdown=markdown)
    limits = [gate.parse(text) for text in fail_if or ()]
    fraction = parse_share(threshold, "--threshold")
    if not fraction:
        raise UsageError(f"--threshold: {threshold!r} is not above 0", "--threshold 3%")
    old, new = _names(old, new or [])
    sides = _sides(old, new, variants, engines)
    old = _side(old, variants, engines, 0)
    metrics = {**comparing.PRIMARY, **{limit.metric.name: limit.metric for limit in limits}}
    comparisons = {
        name: comparing.compare(*pair, threshold=fraction, metrics=metrics)
        for name, pair in sides.items()
    }
    outcomes = {
        name: gate.outcomes(comparison, limits, strict=strict)
        for name, comparison in comparisons.items()
    }
    _show(form, Answer(old, comparisons, outcomes), all=all, chart=bool(chart))
    for line in gate_phrases.lines(outcomes, comparisons):
        print(line, file=sys.stderr)
    failed = [one for per_limit in outcomes.values() for one in per_limit if not one.passed]
    raise typer.Exit(BROKEN if failed else 0)


@dataclass(frozen=True)
class Answer:
    """What is shown: comparisons, and outcomes of limits, by the name of the new profile."""

    old: str
    comparisons: "Mapping[str, Comparison]"
    found: "Outcomes"


def _form(asked: Form | None, *, json: bool, markdown: bool) -> Form:
    from effattn_cli.errors import UsageError

    flags: dict[Form, bool] = {"json": json, "markdown": markdown}
    forms = [form for form, given in flags.items() if given]
    if asked is not None and asked not in forms:
        forms.append(asked)
    if len(forms) > 1:
        words = [f"--{form}" if flags.get(form) else f"--output-format {form}" for form in forms]
        raise UsageError(f"{' and '.join(words)}: one answer at a time")
    return forms[0] if forms else "text"


def _show(form: Form, answer: Answer, *, all: bool, chart: bool) -> None:
    old, comparisons, outcomes = answer.old, answer.comparisons, answer.found
    if form == "json":
        from effattn_cli.report.compare import comparison_json

        typer.echo(comparison_json.document(old, comparisons, outcomes))
    elif form == "markdown":
        from effattn_cli.report import markdown as writing

        typer.echo(writing.compared(comparisons, outcomes, old=old, all=all))
    elif form == "github":
        from effattn_cli.report.compare import annotations

        typer.echo("\n".join(annotations.lines(outcomes, comparisons)))
    else:
        from effattn_cli.report import charts, terminal_chart
        from effattn_cli.report.compare import comparison_view
        from effattn_cli.report.console import stdout

        console = stdout()
        console.print(comparison_view.report(comparisons, old=old, all=all), highlight=False)
        terminal_chart.show(charts.of_comparisons(comparisons), console, asked=chart)


def _names(old: str, new: list[str]) -> tuple[str, list[str]]:
    """The older profile, and what is compared with it; of a folder alone, the first of it and the
    others.
    """
    from effattn_cli import library
    from effattn_cli.app.named_profiles import single

    before, after = library.expanded([old]), library.expanded(new)
    if not after:
        return before[0], before[1:]
    return single(before, "the older side"), after


def _sides(
    old: str, new: list[str], variants: Pair | None, engines: Pair | None
) -> dict[str, tuple["Profile", "Profile"]]:
    """What is compared with what, by the name of the newer side."""
    from effattn_cli.analysis.compare.pairing import paired
    from effattn_cli.app.named_profiles import read
    from effattn_cli.commands.notes import note
    from effattn_cli.errors import UsageError

    before = read(old, note)
    if not new and variants is None and engines is None:
        hint = "a second profile, or two variants of this one: --variants sdpa linformer"
        raise UsageError(f"there is nothing to compare {old!r} with", hint)
    profiles = {name: read(name, note) for name in dict.fromkeys(new)} or {old: before}
    return {
        _side(name, variants, engines, 1): paired(before, after, variants, engines)
        for name, after in profiles.items()
    }


def _side(name: str, variants: Pair | None, engines: Pair | None, index: int) -> str:
    """What one side is called: a profile, or a variant and an engine in it."""
    parts = [pair[index] for pair in (variants, engines) if pair is not None]
    return f"{' by '.join(parts)} in {name}" if parts else name
