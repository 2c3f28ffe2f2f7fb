"""The options of an evaluation, each declared once, and the cells that they stand for."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any

from msgspec import Struct, field

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import TOKENS
from effattn_cli.option_spec import OptionSpec, specs
from effattn_cli.plan.variant_choices import Choice
from effattn_cli.ranges import lengths
from effattn_cli.records import Cell
from effattn_cli.setting import AXES, USUAL, Setting, flag

#: The axes of a setting that an evaluation has.
EVALUATED = ("causal", "heads", "kv_heads", "head_dim", "dtype", "threads")
RANGES = {"draws": (1, 1000), "seed": (0, 2**32), "tokens": (TOKENS, 2**14), "seeds": (1, 100)}
HEAD_DIM = 64


class EvaluationRequest(Struct, frozen=True, kw_only=True):
    """What to evaluate, in the user's words.

    Raises:
        UsageError: a number is out of range. Words are checked where they are read.
    """

    variant: Annotated[
        tuple[str, ...],
        OptionSpec(
            help="Name, glob, `family:kernel`, `all`, `!name`; options inline:"
            " `sliding-window:window=128,256`. Repeat, or separate by commas.",
            metavar="NAME",
            short="-v",
            completion="variant",
        ),
    ] = ()
    task: Annotated[
        str,
        OptionSpec(
            help="fidelity: how near to exact attention, untrained. What a tiny model learns with"
            " it: recall, update, parity. Separate by commas.",
            metavar="NAME",
            short="-t",
            completion="task",
        ),
    ] = "fidelity"
    seq: Annotated[
        str, OptionSpec(help="Lengths, as in `profile`.", metavar="RANGE", short="-s")
    ] = "1k"
    regime: Annotated[
        str,
        OptionSpec(
            help="fidelity: kinds of q, k and v, as `isotropic`, `local`, or `all`.",
            metavar="NAME",
            completion="regime",
        ),
    ] = "all"
    qkv: Annotated[
        str | None,
        OptionSpec(
            help="fidelity: q, k and v of your model, (heads, tokens, width) each or with a batch"
            " before, in a .safetensors file.",
            metavar="FILE",
        ),
    ] = None
    draws: Annotated[
        int, OptionSpec(help="fidelity: random q, k and v of each regime.", metavar="N")
    ] = 2
    tokens: Annotated[
        int, OptionSpec(help="recall, update, parity: tokens of a sequence.", metavar="N")
    ] = TOKENS
    seeds: Annotated[
        int,
        OptionSpec(help="recall, update, parity: trainings at each learning rate.", metavar="N"),
    ] = 2
    seed: Annotated[int, OptionSpec(help="Random seed of all that is drawn.", metavar="N")] = 0
    time_limit: Annotated[
        str, OptionSpec(help="Time limit of a variant at one regime or task.", metavar="TIME")
    ] = "5m"
    plugin: Annotated[
        tuple[str, ...],
        OptionSpec(help="A file or folder with variants of your own.", metavar="PATH"),
    ] = ()
    axes: Mapping[str, str] = field(default_factory=dict)  # what was typed for axes of a setting

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"--{name}: {value} is out of range, from {low} to {high}")


#: All options of an evaluation, by name.
OPTIONS: Mapping[str, OptionSpec] = specs(EvaluationRequest) | {
    name: AXES[name] for name in EVALUATED
}


def requested(flags: Mapping[str, Any]) -> EvaluationRequest:
    """The request that flags make; one that is None or () was not given."""
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    axes = {name: _typed(value) for name, value in given.items() if name in AXES}
    rest = {name: _plain(value) for name, value in given.items() if name not in AXES}
    return EvaluationRequest(axes=axes, **rest)


def _typed(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def cores(
    request: EvaluationRequest,
    choices: tuple[Choice, ...],
    catalog: Catalog,
    threads: int,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Cell, ...]:
    """The cells that the request compares with exact attention: a cell for each choice, length and
    setting. A variant that is always causal, or never, is so whatever was asked for.

    `sizes` are those of tensors that are there: tokens, and some axes.

    Raises:
        UsageError: a value cannot be read, or heads and kv heads do not fit.
    """
    axes: dict[str, Any] = {name: (USUAL.values()[name],) for name in EVALUATED}
    axes |= {"threads": (threads,), "head_dim": (HEAD_DIM,)}
    for name, text in request.axes.items():
        axes[name] = AXES[name].read(text, flag(name))
    if sizes is not None:
        _refuse_sizes(request)
        axes |= {name: (size,) for name, size in sizes.items() if name != "tokens"}
    seqs = lengths(request.seq) if sizes is None else (sizes["tokens"],)
    cells = []
    for choice, seq, values in product(choices, seqs, product(*axes.values())):
        wanted = dict(zip(axes, values, strict=True))
        card = catalog.variant(choice.name).card
        if card.causal != "optional":
            wanted["causal"] = card.causal == "always"
        cells.append(
            Cell(variant=choice.name, options=choice.options, seq=seq, setting=shape(wanted))
        )
    return tuple(dict.fromkeys(cells))


def _refuse_sizes(request: EvaluationRequest) -> None:
    """What the user's own tensors say already."""
    given = [name for name in ("heads", "kv_heads", "head_dim") if name in request.axes]
    given += ["seq"] if request.seq != EvaluationRequest().seq else []
    if given:
        raise UsageError(f"--qkv has its own sizes, --{given[0].replace('_', '-')} cannot be given")


def shape(values: Mapping[str, Any]) -> Setting:
    """The setting of a core of so many heads of such a width, as wide as these together.

    Raises:
        UsageError: the heads are not a multiple of the kv heads.
    """
    heads, width = values["heads"], values["head_dim"]
    kv_heads = values["kv_heads"] or heads
    if heads % kv_heads:
        raise UsageError(f"{heads} heads are not a multiple of {kv_heads} kv heads")
    given = dict(values) | {"dim": heads * width, "kv_heads": kv_heads, "head_dim": None}
    return Setting(**given)
