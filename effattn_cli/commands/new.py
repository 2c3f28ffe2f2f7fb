"""`effattn new`: a file to start a variant from."""

import keyword
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from effattn_cli.commands import options as o

TEMPLATE = '''"""{title}: a start; put your own idea in the place of this one."""

from dataclasses import dataclass

from torch import Tensor

from effattn_cli.attention import Attention, Card


class {class_name}(Attention):
    """Gives each token a gated mean of the values, weighted by the keys.

    out_t = sigmoid(q_t) * (sum of w_s v_s) / (sum of w_s), with w_s = exp(sharpness * tanh(k_s)),
    over all tokens s, or over those up to t where the layer is causal.
    """

    card = Card(  # literals only: it is read without importing this file
        title="{title}",
        families=("own",),
        paper="",  # "arXiv:2009.06732"
        year={year},
        time="N",  # how FLOPs grow with the tokens N: "N", "N log N", "N^2"
        memory="N",  # the most that is alive at once, beyond inputs and weights
        causal="optional",  # or "never", "always"
        padding=True,  # whether `attend` can be told which tokens are padding
        kind="own mechanism",  # or "exact", "approximates softmax"
        swap="trained",  # or "exact", "lossy": put into a trained model, it keeps the weights
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        sharpness: float = 1.0
        """How much the keys decide; 0 weighs all tokens alike."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sharpness = config.sharpness

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        """Queries, keys and values, each (batch, heads, tokens, head width), to mixed values."""
        weights = (self.sharpness * k_BHTK.tanh()).exp()
        if valid_BT is not None:  # True where a token is real; padding stands at the end
            weights = weights * valid_BT[:, None, :, None]
        if self.causal:
            above, below = (weights * v_BHTK).cumsum(2), weights.cumsum(2)
        else:
            above, below = (weights * v_BHTK).sum(2, keepdim=True), weights.sum(2, keepdim=True)
        below = below.masked_fill(below == 0, 1)  # of a sequence without a real token
        return q_BHTK.sigmoid() * above / below
'''


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, as `my_variant`.")],
    out: Annotated[
        Path | None,
        o.out(f"File to write, or the folder for it. {o.unless_given('NAME.py')}"),
    ] = None,
    json: o.Json = False,
) -> None:
    """Create a starter file for your own variant."""
    from effattn_cli.commands.notes import wrote
    from effattn_cli.errors import UsageError

    _refuse(name)
    path = _place(name, out)
    words = name.split("_")
    text = TEMPLATE.format(
        title=" ".join(words).capitalize(),
        class_name="".join(word.capitalize() for word in words),
        year=datetime.now(UTC).year,
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{str(path)!r} already exists", "give another name") from None
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None
    shown = name.replace("_", "-")
    following = (
        f"effattn check {path}",
        f"effattn profile --plugin {path} --variant {shown} --seq 1k..16k",
    )
    if json:
        wrote(path, "variant", following=following)
    else:
        typer.echo("\n  ".join([f"wrote {path}; next:", *following]))


def _place(name: str, out: Path | None) -> Path:
    """The file: a variant is called as its file is."""
    from effattn_cli.errors import UsageError

    file = f"{name}.py"
    path = Path(file) if out is None else out / file if out.is_dir() else out
    if path.name != file:
        hint = f"-o {path.with_name(file)}, or an existing folder"
        raise UsageError(f"-o: the file of {name!r} has to be called {file!r}", hint)
    return path


def _refuse(name: str) -> None:
    """Names that are no Python word, or that a variant has already."""
    from effattn_cli.catalog import Catalog
    from effattn_cli.errors import UsageError

    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        parts = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
        near = re.sub(r"^[0-9_]+", "", "_".join(parts))
        hint = f"did you mean {near!r}?" if near and not keyword.iskeyword(near) else None
        raise UsageError(
            f"{name!r} is not a valid file name: use lower-case letters, digits and _", hint
        )
    if name.replace("_", "-") in Catalog().names():
        raise UsageError(f"there is a variant named {name.replace('_', '-')!r} already")
