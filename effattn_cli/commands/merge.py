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
            help="Files, folders, names, @1; without -o the first is the file to write.",
            autocompletion=profile_names,
        ),
    ],
    out: Annotated[
        str | None,
        o.out(f"A file, or a folder: a file of each machine. {o.unless_given('the first')}"),
    ] = None,
    force: o.Force = False,
    ignore_sentinel: Annotated[
        bool,
        o.output("--ignore-sentinel", help="Merge shards of machines that were not equally fast."),
    ] = False,
    json: o.Json = False,
) -> None:
    """Join profiles of one machine: shards of a sweep, or more rounds of the same cells."""
    from effattn_cli.app import merging
    from effattn_cli.commands.notes import note, told, wrote
    from effattn_cli.errors import UsageError
    from effattn_cli.units import number

    if out is None:
        out, profiles = profiles[0], profiles[1:]
    if not profiles:
        raise UsageError("there is nothing to merge", "effattn merge -o OUT.yaml ONE.yaml TWO.yaml")
    order = merging.Order(
        profiles=profiles,
        out=out,
        command=" ".join(["effattn", *sys.argv[1:]]),
        force=force,
        ignore_sentinel=ignore_sentinel,
    )
    cells = runs = 0
    merged = merging.merged(order, note)
    for path, profile in merged.items():
        taken = sum(len(record.runs) for record in profile.records)
        told(f"saved: {path} ({number(len(profile.records), 'cell')}, {number(taken, 'run')})")
        cells, runs = cells + len(profile.records), runs + taken
    if json:
        counts = {"cells": cells, "runs": runs}
        if order.into_folder:
            wrote(Path(out), "profiles", {"profiles": len(merged), **counts})
        else:
            wrote(Path(out), "profile", counts)
