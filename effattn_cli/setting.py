"""What a measurement holds constant: the axes of a sweep, each declared once.

A field of `Setting` states an axis: its type, its usual value and, as an `Axis`, all that commands
have to know of it. From these come the options of every command, the grid of a sweep, the filters
of saved profiles, titles, columns of exports, and the command that measures again. A new axis is a
field here, and its use where cells are measured.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from effattn_cli import engine_names, feeds, ranges, units
from effattn_cli.axis_readers import DTYPES, Reader, devices, integers, switch, words
from effattn_cli.option_spec import OptionSpec, specs

Phase = Literal["forward", "train", "decode"]
Scope = Literal["core", "layer", "block"]
Norm = Literal["layer", "rms"]
Dtype = Literal["float64", "float32", "bfloat16", "float16"]
FORMER = {"compile": "engine"}  # what an option was called before; its name is now a value
Alloc = Literal["retained", "default"]
Cache = Literal["warm", "cold"]

Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]


def _plain(value: Any) -> str:
    return str(value)


def _padding(fraction: float) -> str:
    return f"{100 * fraction:.3g} % padding" if fraction else "no padding"


def _is_device(here: str, wanted: str) -> bool:
    """`cuda` means any of its devices."""
    return here == wanted or here.partition(":")[0] == wanted


@dataclass(frozen=True, kw_only=True)
class Axis(OptionSpec):
    """What commands have to know of an axis, beyond its type and its usual value."""

    read: Reader
    show: Callable[[Any], str] = _plain  # a value, in a title
    write: Callable[[Any], str] = _plain  # a value, as it is typed
    quiet: bool = False  # a title says nothing of it where it is as usual
    assumed: bool = True  # a question that does not name it means the usual value
    meets: Callable[[Any, Any], bool] = lambda here, wanted: bool(here == wanted)


class Setting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """All that two measurements have in common that differ in variant, options and length.

    The order is that of titles, and of the tables of a sweep.
    """

    phase: Annotated[
        Phase,
        Axis(
            help="forward, train (forward and backward), decode (one token after that context).",
            metavar="PHASE",
            read=words(Phase),
        ),
    ] = "forward"
    scope: Annotated[
        Scope,
        Axis(
            help="core: attention only; layer: + projections; block: + feed-forward.",
            metavar="SCOPE",
            read=words(Scope),
        ),
    ] = "core"
    causal: Annotated[
        bool,
        Axis(
            help="Causal mask.",
            read=switch,
            switch=True,
            show=lambda causal: "causal" if causal else "not causal",
        ),
    ] = False
    padding: Annotated[
        float,
        Meta(ge=0, lt=1),
        Axis(
            help="Padded share of each sequence, at its end.",
            metavar="SHARE",
            read=ranges.fractions,
            show=_padding,
            quiet=True,
        ),
    ] = 0.0
    dim: Annotated[
        Count,
        Axis(
            help="Model width.",
            metavar="N",
            read=integers(ranges.LARGEST),
            section="Shapes",
            show=lambda dim: f"dim {dim}",
            assumed=False,
        ),
    ] = 512
    heads: Annotated[
        Count,
        Axis(
            help="Query heads.",
            metavar="N",
            read=integers(ranges.LARGEST),
            section="Shapes",
            show=lambda heads: units.number(heads, "head"),
            assumed=False,
        ),
    ] = 8
    kv_heads: Annotated[
        Count | None,
        Axis(
            help="Key-value heads.",
            metavar="N",
            read=integers(ranges.LARGEST),
            section="Shapes",
            show=lambda heads: "own kv heads" if heads is None else units.number(heads, "kv head"),
            default="as heads",
            quiet=True,
        ),
    ] = None  # as many as heads, or what the variant prefers
    head_dim: Annotated[
        Count | None,
        Axis(
            help="Head width.",
            metavar="N",
            read=integers(ranges.LARGEST),
            section="Shapes",
            show=lambda dim: "head width dim / heads" if dim is None else f"head width {dim}",
            default="dim / heads",
            quiet=True,
        ),
    ] = None
    feed: Annotated[
        str,
        Meta(max_length=60),
        Axis(
            help="Feed-forward of a block: `swiglu:14336`; `swiglu:768*128/8`: 8 of 128 experts;"
            " `none`.",
            metavar="SHAPE",
            read=feeds.checked,
            section="Shapes",
            show=feeds.words,
            quiet=True,
        ),
    ] = feeds.USUAL
    norm: Annotated[
        Norm,
        Axis(
            help="Norm of a block: layer, rms.",
            metavar="NORM",
            read=words(Norm),
            section="Shapes",
            show=lambda norm: f"{norm} norm",
            quiet=True,
        ),
    ] = "layer"
    batch: Annotated[
        Count,
        Axis(
            help="Batch sizes.",
            metavar="RANGE",
            read=integers(2**20),
            short="-b",
            show=lambda batch: f"batch {batch}" if batch else "batch by length",
        ),
    ] = 1
    dtype: Annotated[
        Dtype,
        Axis(
            help="float32, bfloat16, float16, float64.",
            metavar="DTYPE",
            read=words(Dtype, DTYPES),
        ),
    ] = "float32"
    engine: Annotated[
        str,
        Meta(max_length=60),
        Axis(
            help="eager, compile (torch.compile), onnxruntime, openvino.",
            metavar="ENGINE",
            read=engine_names.read,
            completion="engine",
            section="Execution",
            show=lambda engine: "compiled" if engine == "compile" else engine,
            quiet=True,
        ),
    ] = engine_names.EAGER
    alloc: Annotated[
        Alloc,
        Axis(
            help="CPU heap: `retained` keeps freed memory, `default` is the system's way.",
            metavar="HEAP",
            section="Execution",
            read=words(Alloc),
            show=lambda alloc: f"{alloc} heap",
            quiet=True,
        ),
    ] = "retained"
    cache: Annotated[
        Cache,
        Axis(
            help="warm, or cold: a GPU's L2 is overwritten before each call; in decoding on a CPU,"
            " copies of the layer take turns.",
            metavar="STATE",
            section="Execution",
            read=words(Cache),
            show=lambda cache: f"{cache} cache",
            quiet=True,
        ),
    ] = "warm"
    device: Annotated[
        str,
        Axis(
            help="auto, cpu, cuda:0, ...",
            metavar="DEVICE",
            section="Execution",
            read=devices,
            short="-d",
            default="auto",
            show=units.clean,
            meets=_is_device,
            assumed=False,
        ),
    ] = "cpu"
    threads: Annotated[Count, Axis(
        help="CPU threads.", metavar="RANGE", section="Execution", read=integers(4096),
        default="all cores", show=lambda threads: units.number(threads, "thread"), assumed=False,
    )] = 1  # fmt: skip

    def values(self) -> dict[str, Any]:
        """The value on each axis."""
        return structs.asdict(self)

    def texts(self) -> dict[str, str]:
        """Each axis in words."""
        return {name: AXES[name].show(value) for name, value in self.values().items()}

    @property
    def takes_turns(self) -> bool:
        """Whether copies of the layer are called in turn, so that none stays in a CPU's caches."""
        return self.cache == "cold" and self.device == "cpu" and self.phase == "decode"

    @property
    def title(self) -> str:
        """The setting in one line; what is as usual on a quiet axis goes without saying."""
        return self.shared(())

    def shared(self, others: Iterable["Setting"]) -> str:
        """The same of what it has in common with the others."""
        usual, beside = USUAL.values(), [*others]
        return ", ".join(
            text
            for name, text in self.texts().items()
            if not (AXES[name].quiet and getattr(self, name) == usual[name])
            and all(getattr(other, name) == getattr(self, name) for other in beside)
        )

    def apart(self, others: Iterable["Setting"]) -> str:
        """What sets it apart from the others: `train, causal`; nothing where it is alone."""
        texts, other_texts = self.texts(), [other.texts() for other in others]
        return ", ".join(texts[name] for name in texts if len({o[name] for o in other_texts}) > 1)

    @property
    def options(self) -> str:
        """The options of a sweep of nothing but this setting, as they are typed."""
        usual, flags = USUAL.values(), []
        for name, value in self.values().items():
            axis, given = AXES[name], value != usual[name]
            if name == "threads":  # usually all cores, which may be others elsewhere
                given = self.device == "cpu"
            if name == "causal":  # a step of decoding is causal anyhow
                given = given and self.phase != "decode"
            if given:
                text = "" if axis.switch else f" {axis.write(value)}"
                flags.append(flag(name, value) + text)
        return " ".join(flags)


#: By the name of the field, in the order of titles.
AXES: Mapping[str, Axis] = specs(Setting)
USUAL = Setting()


def flag(name: str, value: Any = None) -> str:
    """The option of an axis; a switch that is off has a flag of its own."""
    no = "no-" if AXES[name].switch and value is False else ""
    return f"--{no}{name.replace('_', '-')}"
