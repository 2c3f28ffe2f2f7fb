"""`effattn export`: a profile for other programs."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from effattn_cli.commands import options as o


@o.takes(*o.filters(o.SHOWN), behind=o.rare_filters())
def export(
    profile: Annotated[str, o.profile_argument("A file, a name, @1 (the newest), a folder.")],
    variant: o.VariantFilter = None,
    seq: o.SeqFilter = None,
    format: Annotated[
        Literal["csv", "json", "md"],
        o.output(
            "--format",
            "-f",
            metavar="FORMAT",
            help=f"csv, json, or md (Markdown). {o.unless_given('csv')}",
        ),
    ] = "csv",
    out: Annotated[Path | None, o.out(f"File to write. {o.unless_given('stdout')}")] = None,
    force: o.Force = False,
    json: Annotated[
        bool, o.output("--json", help="With --out: say in JSON what was written.")
    ] = False,
    no_pager: o.NoPager = False,
    **options: Any,
) -> None:
    """Write a profile as CSV (one row per measurement), JSON (all of it) or Markdown."""
    from effattn_cli import files, library, store
    from effattn_cli.app import named_profiles
    from effattn_cli.app.part import parts_of
    from effattn_cli.commands.notes import wrote
    from effattn_cli.errors import UsageError
    from effattn_cli.report.profile import csv_export as exports

    if json and out is None:
        hint = "--format json prints the profile as JSON; --out FILE --json says what was written"
        raise UsageError("--json: stdout holds the export itself", hint)
    names = library.expanded([profile])
    if format == "json":
        names = [named_profiles.single(names, "--format json")]
    part = o.part(variant, seq, options)
    loaded = parts_of({name: library.read(name) for name in names}, part)
    profiles = [*loaded.values()]
    if format == "json":
        text = store.as_json(profiles[0])
    else:
        text = exports.as_csv(*profiles) if format == "csv" else exports.as_markdown(*profiles)
    text = text.removesuffix("\n") + "\n"
    if out is None:
        _print(text, pager=not no_pager)
    else:
        files.check(out)
        named_profiles.unless_there(out, force=force)
        files.replace(out, text.encode(errors="replace"))
        if json:
            wrote(out, "export", {"cells": sum(len(each.records) for each in profiles)})


def _print(text: str, *, pager: bool) -> None:
    """As it is; through the pager where somebody looks at it."""
    from effattn_cli.report.console import paged, stdout

    console = stdout()
    if not console.is_terminal:
        typer.echo(text, nl=False)
        return
    with paged(console, pager=pager):
        console.out(text, end="", highlight=False)
