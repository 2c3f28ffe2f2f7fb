"""`effattn model`: the layers of a model, and the memory that it takes."""

from typing import Annotated, Any

import typer

from effattn_cli.commands import model_options as m
from effattn_cli.commands import options as o
from effattn_cli.commands.completion import model_names

BY_HAND = "A model by hand"


def _by_hand(name: str, help: str, metavar: str = "N", **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=BY_HAND, **more)


Number = int | None


def model(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A config.json, a folder with one, or a known model.",
            autocompletion=model_names,
        ),
    ] = None,
    context: Annotated[str | None, m.context("Tokens: `4k..128k`.")] = None,
    batch: Annotated[
        str,
        m.of_model(
            "--batch", "-b", metavar="RANGE", help=f"Sequences at once. {o.unless_given('1')}"
        ),
    ] = "1",
    weights: m.Weights = None,
    kv_dtype: m.KvDtype = None,
    chunk: Annotated[
        str,
        m.of_model(
            "--chunk",
            metavar="N",
            help=f"Tokens of a prompt that are processed at once. {o.unless_given('2k')}",
        ),
    ] = "2k",
    memory: Annotated[
        str | None,
        m.of_model("--memory", "-m", metavar="SIZE", help="Memory of the machine, as `16GiB`."),
    ] = None,
    train: Annotated[
        bool,
        m.of_model("--train", help="Training: gradients and optimiser states, and no cache."),
    ] = False,
    replace: m.Replace = None,
    keep: m.Keep = None,
    layers: Annotated[
        str | None,
        _by_hand("--layers", "In order: `gated-deltanet*36,gated-attention*12`.", "LIST"),
    ] = None,
    dim: Annotated[Number, _by_hand("--dim", "Width between the layers.", min=1)] = None,
    heads: Annotated[Number, _by_hand("--heads", "Query heads.", min=1)] = None,
    kv_heads: Annotated[Number, _by_hand("--kv-heads", "Key-value heads.", min=1)] = None,
    head_dim: Annotated[Number, _by_hand("--head-dim", "Width of a head.", min=1)] = None,
    vocab: Annotated[Number, _by_hand("--vocab", "Tokens of the vocabulary.", min=1)] = None,
    feed: Annotated[
        str | None,
        _by_hand("--feed", "`swiglu:14336`; `swiglu:768*128/8`: 8 of 128 experts.", "SHAPE"),
    ] = None,
    json: o.Json = False,
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
