"""`effattn report`: profiles as one page of HTML, or one chart as a picture."""

from pathlib import Path
from typing import Annotated, Any, Literal

from effattn_cli.commands import choose_options as asked
from effattn_cli.commands import options as o

Profiles = Annotated[
    list[str],
    o.profile_argument("Files, names or folders; several stand side by side.", "PROFILE..."),
]
Seq = Annotated[
    str | None,
    o.of_sweep(
        "seq",
        o.SHOWN,
        f"Length of the chart of latency against memory. {o.unless_given('the longest')}",
    ),
]
Latency = Annotated[str | None, asked.latency("As `50ms` or 'p95<=50ms' (quote it).")]
Memory = Annotated[str | None, asked.memory("As `2GiB`.")]
Evidence = Annotated[list[str] | None, asked.evidence(o.SHOWN)]
Name = Annotated[
    Literal["latency", "peak", "state", "pareto", "roofline", "speedup"] | None,
    o.output(
        "--chart",
        metavar="NAME",
        help="One chart, as SVG or PNG: latency, peak, state, pareto, roofline, speedup.",
    ),
]
Out = Annotated[Path, o.out(f"The page, or the chart. {o.unless_given('report.html')}")]
Open = Annotated[bool, o.output("--open", help="Open it in the browser.")]


@o.takes(*o.filters(o.SHOWN), behind=o.rare_filters())
def report(
    profiles: Profiles,
    variant: o.VariantFilter = None,
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
