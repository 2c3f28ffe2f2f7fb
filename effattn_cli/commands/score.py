"""`effattn score`: your own quality scores of a profile's variants."""

import sys
from typing import Annotated

import typer

from effattn_cli.commands import options as o


def score(
    profile: Annotated[str, o.profile_argument("A file, a name, @1 (the newest).")],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="VARIANT=SCORE...", help="linformer=81.2 'performer:features=64=79'"
        ),
    ],
    of: Annotated[
        str, typer.Option("--of", metavar="TEXT", help="Name of the score; higher is better.")
    ],
    force: Annotated[bool, o.output("--force", help="Replace scores of something else.")] = False,
    json: o.Json = False,
) -> None:
    """Record your own quality scores: choose ranks by them before published ones."""
    from effattn_cli import files, store
    from effattn_cli.analysis.selection.own_scores import scored
    from effattn_cli.app.named_profiles import changeable
    from effattn_cli.commands.notes import wrote
    from effattn_cli.plan.typed_scores import scores
    from effattn_cli.units import number

    path = changeable(profile)
    entered = scores(values)
    with files.locked(path):
        store.Writer(path).write(scored(store.read(path), entered, of, force=force))
    print(f"saved: {path} ({number(len(entered), 'score')} of {of!r})", file=sys.stderr)
    if json:
        wrote(path, "profile", {"scores": len(entered)})
