"""`effattn score`: what a profile's variants are worth to a model, beside what they cost."""

import sys
from typing import Annotated

import typer

from effattn_cli.commands.completion import profile_names


def score(
    profile: Annotated[
        str, typer.Argument(help="A file, a name, @1.", autocompletion=profile_names)
    ],
    values: Annotated[list[str], typer.Argument(help="linformer=81.2 'performer:features=64=79'")],
    of: Annotated[
        str, typer.Option("--of", metavar="TEXT", help="What was measured, more being better.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace scores of something else.")
    ] = False,
) -> None:
    """Enter what models with these variants scored: choose ranks by it before published scores."""
    from effattn_cli import files, store
    from effattn_cli.analysis.selection.own_scores import scored
    from effattn_cli.app.named_profiles import changeable
    from effattn_cli.plan.typed_scores import scores
    from effattn_cli.units import number

    path = changeable(profile)
    entered = scores(values)
    with files.locked(path):
        store.Writer(path).write(scored(store.read(path), entered, of, force=force))
    print(f"saved: {path} ({number(len(entered), 'score')} of {of!r})", file=sys.stderr)
