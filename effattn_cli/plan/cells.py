"""The cells of a sweep: every variant at every point of the axes, and the baseline beside them."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.presets import shape_like
from effattn_cli.plan.request import Request
from effattn_cli.plan.variant_choices import Choice, select
from effattn_cli.ranges import fractions, integers, lengths
from effattn_cli.records import Alloc, Cache, Cell, Dtype, Phase, Scope

MOST = 10_000  # cells
MOST_THREADS = 4096
MOST_BATCH = 2**20
DTYPES = {
    "fp64": "float64", "f64": "float64", "double": "float64",
    "fp32": "float32", "f32": "float32", "float": "float32", "single": "float32",
    "bf16": "bfloat16", "fp16": "float16", "f16": "float16", "half": "float16",
}  # fmt: skip
DEVICE = r"auto|cpu|mps|(?:cuda|xpu)(?::[0-9]{1,3})?"
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "mps", "xpu")
WIDTHS = ("dim", "heads", "head_dim", "kv_heads")
#: The widths that a comparison needs equal on both sides. Fewer key-value heads are what a variant
#: is about: given inline they stay its option, and the baseline keeps its own.
SHARED = frozenset(WIDTHS[:3])


@dataclass(frozen=True)
class Plan:
    """What a sweep measures.

    Beside each cell stands the baseline's: the same but for the variant and its options.
    """

    cells: tuple[Cell, ...]
    baseline: str | None  # its label
    notes: tuple[str, ...] = ()  # what was left out


def plan(request: Request, catalog: Catalog, *, devices: Sequence[str], cores: int) -> Plan:
    """The cells of a request on `devices`, with `cores` threads unless it says otherwise.

    The cells of a variant come in one run, from the shortest length to the longest.

    Raises:
        UsageError: an option cannot be read, two exclude one another, no variant is named,
            or there are too many cells.
    """
    _refuse_devices(request.device)
    scopes: Any = _words(request.scope, "scope", get_args(Scope))
    subjects, baseline, moved = _subjects(request, catalog, scopes)
    tokens = _tokens(request)
    seqs, notes = _lengths(request.seq, tokens)
    axes: dict[str, Sequence[Any]] = {
        "seq": seqs,
        "batch": (1,) if tokens else integers(request.batch or "1", "--batch", largest=MOST_BATCH),
        "device": list(dict.fromkeys(devices)),
        "dtype": _words(request.dtype, "dtype", get_args(Dtype), DTYPES),
        "threads": _threads(request.threads, cores),
        "phase": _words(request.phase, "phase", get_args(Phase)),
        "padding": fractions(request.padding, "--padding"),
        "cache": _caches(request.cache, devices),
    }
    _refuse_too_many({"variant": subjects, **axes})
    cells = [
        _cell(subject, dict(zip(axes, values, strict=True)), tokens, causal=request.causal)
        for subject in subjects
        for values in itertools.product(*axes.values())
    ]
    return Plan(tuple(cells), baseline, (*notes, *moved))


def _refuse_devices(text: str) -> None:
    """Whether words are devices at all; which of them are here is found out later."""
    for item in (part.strip() for part in text.split(",")):
        if re.fullmatch(DEVICE, item):
            continue
        near = re.sub(r"^gpu\b", "cuda", item.lower())
        if re.fullmatch(DEVICE, near):
            raise UsageError(f"unknown device {item!r}", f"did you mean {near!r}?")
        raise unknown("device", item, DEVICES)


def _caches(text: str, devices: Sequence[str]) -> tuple[str, ...]:
    found = _words(text, "cache", get_args(Cache))
    if "cold" in found and "cpu" in devices:
        why = "--cache cold: only an accelerator's cache is known to be overwritten, not a CPU's"
        raise UsageError(why, "give --device cuda, or leave it out")
    return found


def _subjects(
    request: Request, catalog: Catalog, scopes: Sequence[Scope]
) -> tuple[list[Cell], str | None, tuple[str, ...]]:
    """A cell for each variant, shape and scope, the baseline's first; its label; and notes.

    A feed-forward variant has no q, k and v: it is measured in a block, whatever the scopes, and
    so is the baseline beside it. One sweep holds the whole survey, each table like with like.
    """
    base = _base(request)
    shaped = [_shaped(base, choice) for choice in select(request.variant, catalog)]
    if not shaped:
        hint = "--variant linformer, say; `effattn variants` lists them"
        raise UsageError("no variant is named", hint)
    feeds = {cell.variant: _is_feed_forward(cell.variant, catalog) for cell in shaped}
    blocks: Sequence[Scope] = ("block",)
    asked = [
        replace(cell, scope=scope)
        for cell in shaped
        for scope in (blocks if feeds[cell.variant] else scopes)
    ]
    moved = _moved([name for name, is_feed in feeds.items() if is_feed], scopes)
    if request.baseline == "none":
        return list(dict.fromkeys(asked)), None, moved
    baseline = _shaped(base, _baseline(request.baseline, catalog))
    if _is_feed_forward(baseline.variant, catalog) and {cell.scope for cell in asked} != {"block"}:
        why = f"--baseline: {baseline.variant} replaces the feed-forward, a core has none"
        raise UsageError(why, "give --scope block")
    beside = [replace(cell, variant=baseline.variant, options=baseline.options) for cell in asked]
    return list(dict.fromkeys(beside + asked)), baseline.label, moved


def _is_feed_forward(name: str, catalog: Catalog) -> bool:
    return catalog.variant(name).card.kind == "feed-forward"


def _moved(feeds: Sequence[str], scopes: Sequence[str]) -> tuple[str, ...]:
    """A note of the variants that are measured at another scope than was asked for."""
    if not feeds or set(scopes) == {"block"}:
        return ()
    what = ", ".join(feeds) + (" replaces" if len(feeds) == 1 else " replace")
    return (f"{what} the feed-forward: measured at scope block, beside the baseline there",)


def _baseline(word: str, catalog: Catalog) -> Choice:
    choices = select((word,), catalog)
    if len(choices) != 1:
        raise UsageError(f"--baseline: {word!r} stands for {len(choices)} variants, name one")
    if wrong := SHARED.intersection(choices[0].options):
        name = min(wrong)
        raise UsageError(f"--baseline: its {name} is that of the variants compared with it")
    return choices[0]


def _base(request: Request) -> Cell:
    """The shape and the settings that all cells share, unless an inline option says otherwise."""
    shape = shape_like(request.like) if request.like else None
    like = {name: getattr(shape, name) for name in WIDTHS} if shape else {}
    if shape and shape.kv_heads == shape.heads:
        del like["kv_heads"]  # the model shares none, so a variant may have what it prefers
    given = {name: getattr(request, name) for name in WIDTHS}
    widths = like | {name: value for name, value in given.items() if value is not None}
    if request.alloc not in get_args(Alloc):
        raise unknown("alloc", request.alloc, get_args(Alloc))
    alloc: Any = request.alloc
    return Cell(variant="", seq=1, compile=request.compile, alloc=alloc, **widths)


def _shaped(base: Cell, choice: Choice) -> Cell:
    """`base` for one choice; the widths that comparisons share become the cell's own."""
    shape: dict[str, Any] = {k: v for k, v in choice.options.items() if k in SHARED}
    options = {
        name: value
        for name, value in choice.options.items()
        if name not in SHARED and (name, value) != ("kv_heads", base.kv_heads)
    }
    cell = replace(base, variant=choice.name, options=options, **shape)
    if cell.head_dim is None and cell.dim % cell.heads:
        hint = "give --head-dim, or another --dim or --heads"
        raise UsageError(f"dim {cell.dim} is not a multiple of {cell.heads} heads", hint)
    kv_heads: Any = options.get("kv_heads", cell.kv_heads)
    if kv_heads and cell.heads % kv_heads:
        raise UsageError(f"{cell.heads} heads are not a multiple of {kv_heads} kv heads")
    usual = cell.head_dim is not None and cell.heads * cell.head_dim == cell.dim
    return replace(cell, head_dim=None) if usual else cell


def _tokens(request: Request) -> int | None:
    if request.tokens is None:
        return None
    if request.batch is not None:
        hint = "with --tokens the batch is tokens / length"
        raise UsageError("--batch and --tokens exclude one another", hint)
    values = integers(request.tokens, "--tokens")
    if len(values) != 1:
        raise UsageError(f"--tokens: {request.tokens!r} stands for {len(values)} values, give one")
    return values[0]


def _lengths(text: str, tokens: int | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The lengths that a batch of `tokens` has room for, and a note of the others."""
    seqs = lengths(text)
    fit = tuple(seq for seq in seqs if tokens is None or seq <= tokens)
    if not fit:
        raise UsageError(f"--tokens: {tokens} is below the shortest length, {seqs[0]}")
    longer = seqs[len(fit) :]
    if not longer:
        return fit, ()
    named = ", ".join(map(str, longer[:5])) + (", ..." if longer[5:] else "")
    return fit, (f"lengths above --tokens {tokens} are left out: {named}",)


def _threads(text: str | None, cores: int) -> tuple[int, ...]:
    return integers(text, "--threads", largest=MOST_THREADS) if text else (cores,)


def _words(
    text: str, axis: str, valid: Sequence[str], aliases: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The words of a comma list, by their proper names, each once."""
    proper = {word: word for word in valid} | dict(aliases or {})
    items = [item.strip() for item in text.split(",")]
    for item in items:
        if item.lower() not in proper:
            raise unknown(axis, item, proper)
    return tuple(dict.fromkeys(proper[item.lower()] for item in items))


def _refuse_too_many(axes: Mapping[str, Sequence[Any]]) -> None:
    count = math.prod(len(values) for values in axes.values())
    if count <= MOST:
        return
    widest = max(axes, key=lambda axis: len(axes[axis]))
    message = f"the sweep has {count:,} cells, more than {MOST:,}"
    raise UsageError(f"{message}: --{widest} alone has {len(axes[widest]):,} values")


def _cell(subject: Cell, point: Mapping[str, Any], tokens: int | None, *, causal: bool) -> Cell:
    cell = replace(subject, **point)
    if tokens is not None:
        cell = replace(cell, batch=tokens // cell.seq)
    # A step of decoding sees the past only, whether --causal is given or not.
    return replace(cell, causal=causal or cell.phase == "decode")
