"""The options of a sweep, each declared once, as the user writes them."""

from collections.abc import Mapping
from reprlib import repr as shortened
from typing import Annotated, Any

from msgspec import Struct, field, structs

from effattn_cli.errors import UsageError
from effattn_cli.option_spec import OptionSpec, specs
from effattn_cli.quantities import parse_bytes, parse_seconds, parse_share
from effattn_cli.records import Sampling
from effattn_cli.setting import AXES

RANGES = {"rounds": (1, 100), "seed": (0, 2**63 - 1)}
#: Ten processes: what differs between them is most of what is not known, more samples tell little.
PRECISE = Sampling(rounds=10, precision=0.01)
LIMITS = "Limits and sampling"


class Request(Struct, frozen=True, kw_only=True):
    """What to profile, in the user's words. None stands for "not given".

    Raises:
        UsageError: a number is out of range. Words are checked where they are read.
    """

    variant: Annotated[
        tuple[str, ...],
        OptionSpec(
            help="Name, glob, `family:kernel`, `survey`, `deployed`, `all`, `!name`; options"
            " inline: `linformer:rank=64,128`. Repeat, or separate by commas.",
            metavar="NAME",
            short="-v",
            completion="variant",
        ),
    ] = ()
    family: Annotated[
        tuple[str, ...],
        OptionSpec(
            help="All variants of a family, as `kernel`.", metavar="NAME", completion="family"
        ),
    ] = ()
    seq: Annotated[
        str,
        OptionSpec(
            help="Lengths: `1k..64k` doubles; also `1k,3k`, `1k..4k:+512`, `1k..1M:x4`,"
            " `1k..64k:/5`.",
            metavar="RANGE",
            short="-s",
        ),
    ] = "1k..16k"
    tokens: Annotated[
        str | None,
        OptionSpec(help="Constant tokens: the batch is tokens / seq.", metavar="N"),
    ] = None
    baseline: Annotated[
        str,
        OptionSpec(
            help="Variant that the others are compared with, or `none`.",
            metavar="NAME",
            completion="variant",
        ),
    ] = "sdpa"
    plugin: Annotated[
        tuple[str, ...],
        OptionSpec(help="A file or folder with variants of your own.", metavar="PATH"),
    ] = ()
    like: Annotated[
        str | None,
        OptionSpec(
            help="Take shapes from a known model or a Hugging Face `config.json`; with `-v own`,"
            " its mixers, too.",
            metavar="MODEL",
            section="Shapes",
            completion="model",
        ),
    ] = None
    model: Annotated[
        str | None,
        OptionSpec(
            help="The layers of a whole model, each kind once: a `config.json`, a folder with one,"
            " or a known model.",
            metavar="MODEL",
            section="Shapes",
            completion="model",
        ),
    ] = None
    replace: Annotated[
        tuple[str, ...],
        OptionSpec(
            help="Also measure what replaces a kind of layer: `full=gated-deltanet`.",
            metavar="KIND=NAME",
            section="Shapes",
        ),
    ] = ()
    keep: Annotated[
        str | None,
        OptionSpec(
            help="Shares of these layers that stay as they are: `1/2,1/4,0`.",
            metavar="SHARES",
            section="Shapes",
        ),
    ] = None
    time_limit: Annotated[
        str,
        OptionSpec(
            help="Time limit of a cell; one that needs more is predicted.",
            metavar="TIME",
            section=LIMITS,
        ),
    ] = "40s"
    time_budget: Annotated[
        str | None,
        OptionSpec(help="Time budget of the whole sweep.", metavar="TIME", section=LIMITS),
    ] = None
    memory_limit: Annotated[
        str | None,
        OptionSpec(
            help="Memory limit of a cell, as `8GiB`.",
            metavar="SIZE",
            section=LIMITS,
            default="80 % of what is free",
        ),
    ] = None
    precise: Annotated[
        bool,
        OptionSpec(
            help="10 rounds, 1 % precision: detects changes of about 5 %. About 3x slower.",
            section=LIMITS,
            switch=True,
        ),
    ] = False
    rounds: Annotated[
        int | None,
        OptionSpec(help="Fresh processes for each cell.", metavar="N", section=LIMITS, default="3"),
    ] = None
    precision: Annotated[
        str | None,
        OptionSpec(
            help="Sampling stops at this half width of the median's 95 % interval.",
            metavar="SHARE",
            section=LIMITS,
            default="2%",
        ),
    ] = None
    seed: Annotated[
        int,
        OptionSpec(
            help="Random seed of the inputs and of the order of cells.", metavar="N", section=LIMITS
        ),
    ] = 0
    axes: Mapping[str, str] = field(default_factory=dict)  # what was typed for axes of a setting

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"--{name}: {value} is out of range, from {low} to {high}")

    @property
    def variants(self) -> tuple[str, ...]:
        """The words that name variants, those of families among them."""
        return (*self.variant, *(f"family:{name}" for name in self.family))


#: All options of a sweep, by name; those of an axis are text until they are planned.
OPTIONS: Mapping[str, OptionSpec] = {**specs(Request), **AXES}


def merged(flags: Mapping[str, Any], config: Mapping[str, Any]) -> Request:
    """The request that flags and a config file make."""
    values = joined(flags, config)
    axes = {name: _typed(value) for name, value in values.items() if name in AXES}
    rest = {name: value for name, value in values.items() if name not in AXES}
    return Request(axes=axes, **rest)


def joined(flags: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of both; a flag that is None or () was not given."""
    given = {name: _plain(value) for name, value in flags.items() if value not in (None, (), [])}
    return {**config, **given}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _typed(value: Any) -> str:
    """An axis as it would be typed; a switch says yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def sampling(request: Request) -> Sampling:
    """How the request wants its cells measured."""
    budget, memory = request.time_budget, request.memory_limit
    usual = PRECISE if request.precise else Sampling()
    return Sampling(
        rounds=request.rounds or usual.rounds,
        precision=_precision(request.precision) if request.precision else usual.precision,
        seed=request.seed,
        time_limit=parse_seconds(request.time_limit, "--time-limit"),
        time_budget=parse_seconds(budget, "--time-budget") if budget is not None else None,
        memory_limit=parse_bytes(memory, "--memory-limit") if memory is not None else None,
    )


#: The options that say how cells are measured, each with the fields of `Sampling` that it decides.
SAMPLED: Mapping[str, tuple[str, ...]] = {
    "precise": ("rounds", "precision"),
    **{name: (name,) for name in
       ("rounds", "precision", "seed", "time_limit", "time_budget", "memory_limit")},
}  # fmt: skip


def resampled(before: Sampling, flags: Mapping[str, Any]) -> Sampling:
    """The same but for what these flags say of it."""
    given = {name: value for name, value in flags.items() if name in SAMPLED}
    asked = sampling(merged(given, {}))
    fields = {field for name in given for field in SAMPLED[name]}
    return structs.replace(before, **{name: getattr(asked, name) for name in fields})


def _precision(text: str) -> float:
    fraction = parse_share(text, "--precision")
    if 0.001 <= fraction <= 0.5:
        return fraction
    raise UsageError(f"--precision: {shortened(text)} is out of range, from 0.1% to 50%")
