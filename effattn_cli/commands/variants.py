"""`effattn variants`: the catalogue, or one card."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import variant_names

if TYPE_CHECKING:
    from effattn_cli.analysis.cost.scaling import Scaling
    from effattn_cli.cards import Variant
    from effattn_cli.catalog import Catalog


def variants(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Show this card in full; or list a family, as `family:linear`, or `deployed`.",
            autocompletion=variant_names,
        ),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Print only the names, one per line.")
    ] = False,
    survey: Annotated[
        bool,
        typer.Option("--survey", help="Show the survey's Table 1 beside what is counted here."),
    ] = False,
    plugin: o.Plugin = None,
    json: o.Json = False,
) -> None:
    """List the attention variants, or show the card of one."""
    from effattn_cli.catalog import Catalog

    if names and (json or survey):
        from effattn_cli.errors import UsageError

        raise UsageError(f"--names and {'--json' if json else '--survey'}: one answer at a time")
    catalog = Catalog(plugin or [])
    asked = catalog.names() if name is None else _asked(name, catalog)
    if names:
        typer.echo("\n".join(asked))
        return

    if name is not None and len(asked) == 1 and not json:
        from effattn_cli.report.catalog import card_view
        from effattn_cli.report.console import stdout

        stdout().print(card_view.card(catalog.variant(asked[0])))
        return
    _list(asked, catalog, survey=survey, json=json)


def _list(asked: "Iterable[str]", catalog: "Catalog", *, survey: bool, json: bool) -> None:
    from effattn_cli.catalog import BrokenPlugin
    from effattn_cli.report.console import stdout

    listed, broken = [], {}
    for known_name in asked:
        try:
            listed.append(catalog.variant(known_name))
        except BrokenPlugin as error:
            broken[known_name] = str(error)
    if survey:
        listed = [item for item in listed if item.card.survey is not None]
    scalings = _scalings(listed) if survey else None
    if json:
        from effattn_cli.report.documents import kinds
        from effattn_cli.report.documents.catalogs import Variants

        document = Variants(variants=tuple(listed), broken=broken, scalings=scalings)
        typer.echo(kinds.text(document))
    elif scalings is not None:
        from effattn_cli.report.catalog import survey_table

        stdout().print(survey_table.table(listed, scalings))
    else:
        from effattn_cli.report.catalog import card_view

        stdout().print(card_view.listing(listed, broken))


def _asked(word: str, catalog: "Catalog") -> list[str]:
    """The variants that a word stands for: itself, or those of a family or another group."""
    from effattn_cli.plan.variant_choices import select

    return list(dict.fromkeys(choice.name for choice in select((word,), catalog)))


def _scalings(variants: "Iterable[Variant]") -> "dict[str, Scaling | None]":
    from effattn_cli.app.scalings import counted
    from effattn_cli.commands.notes import progress
    from effattn_cli.run.fork_server import ForkServer

    with ForkServer() as server:
        return counted(variants, server, progress)
