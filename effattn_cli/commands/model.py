"""`effattn model`: the layers of a model, and the memory that it takes."""

from typing import Annotated, Any

import typer

from effattn_cli.architecture import CacheForm, Weights
from effattn_cli.commands.completion import model_names

BY_HAND = "A model by hand"


def _by_hand(name: str, help: str) -> Any:
    return typer.Option(name, min=1, metavar="N", help=help, rich_help_panel=BY_HAND)


def model(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A config.json, a folder with one, or a known model.",
            autocompletion=model_names,
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", "-c", metavar="RANGE", help="Tokens: `4k..128k`.")
    ] = None,
    batch: Annotated[
        str, typer.Option("--batch", "-b", metavar="RANGE", help="Sequences at once.")
    ] = "1",
    weights: Annotated[
        Weights | None,
        typer.Option("--weights", help="Data type of the layers' weights; default: the config's."),
    ] = None,
    kv_dtype: Annotated[
        CacheForm | None,
        typer.Option(
            "--kv-dtype", help="Form of keys and values; default: the config's data type."
        ),
    ] = None,
    chunk: Annotated[
        str,
        typer.Option("--chunk", metavar="N", help="Tokens of a prompt that are processed at once."),
    ] = "2k",
    memory: Annotated[
        str | None,
        typer.Option("--memory", "-m", metavar="SIZE", help="Memory of the machine, as `16GiB`."),
    ] = None,
    train: Annotated[
        bool,
        typer.Option(
            "--train", help="Training: gradients and optimiser states instead of a cache."
        ),
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="LIST",
            rich_help_panel=BY_HAND,
            help="In order: `gated-deltanet*36,gated-attention*12`.",
        ),
    ] = None,
    dim: Annotated[int | None, _by_hand("--dim", "Width between the layers.")] = None,
    heads: Annotated[int | None, _by_hand("--heads", "Query heads.")] = None,
    kv_heads: Annotated[int | None, _by_hand("--kv-heads", "Key-value heads.")] = None,
    head_dim: Annotated[int | None, _by_hand("--head-dim", "Width of a head.")] = None,
    vocab: Annotated[int | None, _by_hand("--vocab", "Tokens of the vocabulary.")] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            "--feed",
            metavar="SHAPE",
            rich_help_panel=BY_HAND,
            help="`swiglu:14336`; `swiglu:768*128/8`: 8 of 128 experts.",
        ),
    ] = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            "--replace", metavar="KIND=NAME", help="Replace a kind of layer: `full=gated-deltanet`."
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="SHARES",
            help="Shares of these layers that stay as they are: `1/2,1/4,0`.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show a model's layers, the memory that it takes, and the longest context that fits."""
    from effattn_cli.app import models
    from effattn_cli.models.by_hand import Typed

    asked = models.Asked(
        name=name,
        by_hand=Typed(
            layers=layers, dim=dim, heads=heads, kv_heads=kv_heads, head_dim=head_dim, feed=feed,
            vocab=vocab,
        ),
        replacements=tuple(replace or ()), keep=keep, context=context,
        batch=batch, weights=weights, cache=kv_dtype, chunk=chunk, memory=memory, training=train,
    )  # fmt: skip
    answers = models.budgets(asked)
    if json:
        from effattn_cli.report.model import model_json

        typer.echo(model_json.document(answers))
        return

    from effattn_cli.report.console import stdout
    from effattn_cli.report.model import model_view

    stdout().print(model_view.shown(answers), highlight=False)
