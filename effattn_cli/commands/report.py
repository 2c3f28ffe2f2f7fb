"""`effattn report`: profiles as one page of HTML, or one chart as a picture."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import evaluation_names

SHOWN, LIMITS = "What is shown", "Budget"


def _of(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False
    )


Profiles = Annotated[
    list[str], o.profile_argument("Files, names or folders; several stand side by side.")
]
Variants = Annotated[
    list[str] | None,
    _of(SHOWN, "--variant", "-v", metavar="NAME",
        help="Only these, and the baseline: `linformer,performer`. Repeatable."),
]  # fmt: skip
Seq = Annotated[
    str | None,
    _of(SHOWN, "--seq", "-s", metavar="RANGE",
        help="Length of the chart of latency against memory. [dim]\\[the longest][/]"),
]  # fmt: skip
Latency = Annotated[
    str | None, _of(LIMITS, "--latency", metavar="TIME", help="As `50ms` or 'p95<=50ms'.")
]
Memory = Annotated[str | None, _of(LIMITS, "--memory", metavar="SIZE", help="As `2GiB`.")]
Evidence = Annotated[
    list[str] | None,
    typer.Option(
        "--evidence", metavar="FILE", rich_help_panel=SHOWN, show_default=False,
        autocompletion=evaluation_names,
        help="An evaluation: a file, a name, @1. [dim]\\[the newest, and those shipped][/]",
    ),
]  # fmt: skip
Name = Annotated[
    Literal["latency", "peak", "state", "pareto", "roofline", "speedup"] | None,
    _of(o.OUTPUT, "--chart", metavar="NAME",
        help="One chart, as SVG or PNG: latency, peak, state, pareto, roofline, speedup."),
]  # fmt: skip
Out = Annotated[
    Path, _of(o.OUTPUT, "--out", "-o", metavar="FILE", help="The page. [dim]\\[report.html][/]")
]
Open = Annotated[bool, _of(o.OUTPUT, "--open", help="Open it in the browser.", metavar=" ")]


@o.takes(*o.filters(SHOWN))
def report(
    profiles: Profiles,
    variant: Variants = None,
    seq: Seq = None,
    latency: Latency = None,
    memory: Memory = None,
    evidence: Evidence = None,
    chart: Name = None,
    out: Out = Path("report.html"),
    force: o.Force = False,
    open: Open = False,
    json: o.Json = False,
    **options: Any,
) -> None:
    """Write profiles as one page of HTML that needs nothing else, to send to a colleague."""
    from effattn_cli import files
    from effattn_cli.app import reporting
    from effattn_cli.app.named_profiles import unless_there
    from effattn_cli.commands.notes import note, told, wrote
    from effattn_cli.report.page import output

    question = reporting.Question(
        profiles=profiles,
        variants=variant or (),
        setting=o.filtered(options),
        seq=seq,
        limits={"latency": latency, "memory": memory},
        evidence=evidence or (),
    )
    output.check(out, chart)
    files.check(out)
    unless_there(out, force=force)
    answer = reporting.answered(question, note, single=chart is not None)
    files.replace(out, output.made(answer, out, chart))
    told(f"saved: {out}")
    if json:
        wrote(out, "page" if chart is None else "chart")
    if open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
