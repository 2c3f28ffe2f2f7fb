"""`effattn check`: does a variant keep the laws that the bundled ones keep?"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from effattn_cli.commands.completion import variant_names

if TYPE_CHECKING:
    from effattn_cli.catalog import Catalog
    from effattn_cli.report.catalog.conformance import Finding
    from effattn_cli.run.fork_server import Launcher

BROKEN = 1  # exit code: a law does not hold


def check(
    variant: Annotated[
        str, typer.Argument(help="A variant, or its file.", autocompletion=variant_names)
    ],
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="A file or folder with variants.")
    ] = None,
    time_limit: Annotated[
        str, typer.Option("--time-limit", metavar="TIME", help="For a law.")
    ] = "60s",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Hold a variant to the laws: shapes, causality, padding, gradients, growth and more."""
    from effattn_cli.catalog import Catalog, name_of
    from effattn_cli.quantities import parse_seconds
    from effattn_cli.report.catalog import conformance
    from effattn_cli.report.console import stdout
    from effattn_cli.run.fork_server import ForkServer

    seconds = parse_seconds(time_limit)
    file = Path(variant) if variant.endswith(".py") else None
    catalog = Catalog([*map(Path, plugin or []), *([file] if file else [])])
    name = name_of(file) if file else variant
    catalog.variant(name)  # what is wrong with its card shows before torch loads
    with ForkServer() as server:
        findings = list(_findings(catalog, name, server, seconds))
    if json:
        typer.echo(conformance.as_json(name, findings))
    else:
        stdout().print(conformance.table(name, findings))
    raise typer.Exit(BROKEN if any(item.status == "broken" for item in findings) else 0)


def _findings(
    catalog: "Catalog", name: str, server: "Launcher", seconds: float
) -> Iterable["Finding"]:
    """A finding for each law, in a process of its own, so that none can spoil another."""
    from effattn_cli.errors import NothingMeasured
    from effattn_cli.host.processes import usual_memory_limit
    from effattn_cli.report.catalog.conformance import Finding, finding
    from effattn_cli.run import outcome
    from effattn_cli.run.fork_server import Job

    plugin = catalog.source(name).plugin
    payload = {"cell": {"variant": name}, "path": None if plugin is None else str(plugin)}
    listed = server.run(Job(name="laws")).answers
    if not listed:
        raise NothingMeasured("the checking process ended before the first law")
    memory = usual_memory_limit()
    for law in ["loading", *listed[0]["laws"]]:
        job = Job(name="check", payload=payload | {"law": law}, timeout=seconds, memory=memory)
        found = finding(law, outcome.answer(server.run(job), seconds))
        yield found
        if law == "loading" and found.status == "broken":
            yield Finding(law="all other laws", status="skipped", words="it cannot be loaded")
            return
