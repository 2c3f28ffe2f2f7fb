"""The options of `effattn model` that `effattn choose --model` has too."""

from typing import Annotated, Any

import typer

from effattn_cli.architecture import CacheForm
from effattn_cli.architecture import Weights as Form
from effattn_cli.commands.options import of_sweep, unless_given

WHOLE = "A whole model"
CONFIG = unless_given("as the config says")


def of_model(*names: str, help: str, metavar: str = " ", **more: Any) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=WHOLE, show_default=False, **more
    )


def context(help: str) -> Any:
    return of_model("--context", "-c", metavar="RANGE", help=help)


Weights = Annotated[
    Form | None,
    of_model(
        "--weights",
        metavar="DTYPE",
        help=f"Of the layers: float32, bfloat16, float16, fp8, int8, int4. {CONFIG}",
    ),
]
KvDtype = Annotated[
    CacheForm | None,
    of_model(
        "--kv-dtype",
        metavar="DTYPE",
        help=f"Of keys and values: float32, bfloat16, float16, fp8, int8. {CONFIG}",
    ),
]
Replace = Annotated[
    list[str] | None,
    of_sweep("replace", WHOLE, "Replace a kind of layer: `full=gated-deltanet`. Repeatable."),
]
Keep = Annotated[str | None, of_sweep("keep", WHOLE)]
