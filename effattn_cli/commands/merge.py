"""`effattn merge`: the shards of a sweep in one profile."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import profile_names


def merge(
    profiles: Annotated[
        list[str],
        typer.Argument(
            metavar="[OUT] PROFILE...",
            help="Files, names, @1; without -o the first is the file to write.",
            autocompletion=profile_names,
        ),
    ],
    out: Annotated[Path | None, o.out(f"File to write. {o.unless_given('the first')}")] = None,
    force: o.Force = False,
    json: o.Json = False,
) -> None:
    """Join profiles of one machine; rounds of the same cell are joined too."""
    from effattn_cli import files, library, store
    from effattn_cli.analysis.compare.merging import merge as merged
    from effattn_cli.app import named_profiles
    from effattn_cli.commands.notes import wrote
    from effattn_cli.errors import UsageError
    from effattn_cli.units import number

    if out is None:
        out, profiles = Path(profiles[0]), profiles[1:]
    if not profiles:
        raise UsageError("there is nothing to merge", "effattn merge -o OUT.yaml ONE.yaml TWO.yaml")
    combined = merged(
        [library.read(name) for name in profiles], " ".join(["effattn", *sys.argv[1:]])
    )
    with files.locked(out):
        named_profiles.unless_there(out, force=force)
        store.Writer(out).write(combined)
    runs = sum(len(record.runs) for record in combined.records)
    summary = f"{number(len(combined.records), 'cell')}, {number(runs, 'run')}"
    print(f"saved: {out} ({summary})", file=sys.stderr)
    if json:
        wrote(out, "profile", {"cells": len(combined.records), "runs": runs})
