"""`effattn check`: does a variant keep the laws that the bundled ones keep?"""

from typing import Annotated

import typer

from effattn_cli.commands import options as o

BROKEN = 1  # exit code: a law does not hold


def check(
    variant: o.OneVariant,
    plugin: o.Plugin = None,
    time_limit: Annotated[
        str,
        typer.Option(
            "--time-limit",
            metavar="TIME",
            help=f"Time limit of each test. {o.unless_given('60s')}",
            show_default=False,
        ),
    ] = "60s",
    json: o.Json = False,
) -> None:
    """Test a variant: shapes, causality, padding, gradients, growth of costs and more."""
    from effattn_cli.app import conformance
    from effattn_cli.quantities import parse_seconds
    from effattn_cli.report.catalog import conformance_view
    from effattn_cli.report.console import stdout
    from effattn_cli.run.fork_server import ForkServer

    seconds = parse_seconds(time_limit)
    catalog, choice = conformance.subject(variant, plugin or [])
    catalog.variant(choice.name)  # what is wrong with its card shows before torch loads
    with ForkServer() as server:
        findings = list(conformance.findings(catalog, choice, server, seconds))
    if json:
        typer.echo(conformance_view.as_json(choice.label, findings))
    else:
        stdout().print(conformance_view.table(choice.label, findings))
    raise typer.Exit(BROKEN if any(item.status == "broken" for item in findings) else 0)
