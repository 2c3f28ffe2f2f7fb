"""The cells of a sweep: every variant at every point of the axes, and the baseline beside them."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.models.cells import DECIDED, parts
from effattn_cli.plan.model_choices import arranged, found
from effattn_cli.plan.presets import OF_PROJECTIONS, own_mixers, shape_like
from effattn_cli.plan.request import Request
from effattn_cli.plan.variant_choices import Choice, select
from effattn_cli.ranges import integers, lengths
from effattn_cli.records import Cell
from effattn_cli.setting import AXES, USUAL, Setting, flag

MAX_CELLS = 10_000
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
    models: tuple[Model, ...] = ()  # whose parts the cells are

    @property
    def devices(self) -> tuple[str, ...]:
        """As they were named: `auto`, say."""
        return tuple(dict.fromkeys(cell.setting.device for cell in self.cells))

    def placed(self, devices: Mapping[str, str]) -> "Plan":
        """The same on the devices that each name stands for here.

        Raises:
            UsageError: a CPU's cache cannot be made cold.
        """
        settings: dict[Setting, Setting] = {}
        for setting in {cell.setting: None for cell in self.cells}:
            device = devices[setting.device]
            if setting.cache == "cold" and device == "cpu":
                why = "only an accelerator's cache is known to be overwritten, not a CPU's"
                hint = "give --device cuda, or leave it out"
                raise UsageError(f"--cache cold: {why}", hint)
            settings[setting] = replace(setting, device=device)
        cells = (replace(cell, setting=settings[cell.setting]) for cell in self.cells)
        return dataclasses.replace(self, cells=tuple(dict.fromkeys(cells)))


def plan(request: Request, catalog: Catalog, cores: int) -> Plan:
    """The cells of a request, on the devices that it names, with `cores` threads unless it says
    otherwise.

    The cells of a variant come in one run, from the shortest length to the longest.

    Raises:
        UsageError: an option cannot be read, two exclude one another, no variant is named,
            or there are too many cells.
    """
    if request.model is not None:
        return _of_model(request, cores)
    choices = select(request.variants, catalog, lambda: own_mixers(request.like))
    if not choices:
        hint = "--variant linformer, say; `effattn variants` lists them"
        raise UsageError("no variant is named", hint)
    tokens = _tokens(request)
    seqs, notes = _lengths(request.seq, tokens)
    axes = _axes(request, cores)
    baselines = [] if request.baseline == "none" else [request.baseline]
    _refuse_too_many({"variant": [*choices, *baselines], "seq": seqs, **axes})
    settings = [
        Setting(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]
    asked = dict.fromkeys(_asked(choices, seqs, settings, catalog, tokens))
    notes = (*notes, *_moved(choices, axes["scope"], catalog))
    _refuse_idle(request, axes["scope"])
    if request.baseline == "none":
        return Plan(tuple(asked), None, notes)
    baseline = _baseline(request.baseline, catalog)
    scopes = catalog.variant(baseline.name).scopes
    if any(cell.setting.scope not in scopes for cell in asked):
        why = "replaces the feed-forward, a core has none"
        if scopes[0] == "layer":
            why = "is a plain module, whose core is not known"
        raise UsageError(f"--baseline: {baseline.name} {why}", f"give --scope {scopes[0]}")
    beside = [_beside(cell, baseline) for cell in asked]
    cells = dict.fromkeys([*beside, *asked])
    return Plan(tuple(cells), beside[0].label, notes)


def _of_model(request: Request, cores: int) -> Plan:
    """The parts of a model and of its other layouts, each once.

    Raises:
        UsageError: there are options beside it that it decides, or a part is not measured.
    """
    given = [name for name in (*DECIDED, "padding") if name in request.axes]
    named = ["variant"] if request.variants else ["like"] if request.like else given
    if named:
        hint = "--replace full=gated-deltanet gives its layers another mixer"
        raise UsageError(f"--model decides --{named[0].replace('_', '-')}: leave it out", hint)
    model = found(request.model or "")
    models = (model, *arranged(model, request.replace, request.keep))
    seqs, notes = _lengths(request.seq, _tokens(request))
    axes = {name: values for name, values in _axes(request, cores).items() if name not in DECIDED}
    if "dtype" not in request.axes:
        axes["dtype"] = (model.dtype,)
    cells: dict[Cell, None] = {}
    for values in itertools.product(*axes.values()):
        setting = Setting(**dict(zip(axes, values, strict=True)))
        for layout, seq in itertools.product(models, seqs):
            cells |= dict.fromkeys(part.cell for part in parts(layout, seq, setting))
    if len(cells) > MAX_CELLS:
        raise UsageError(f"the sweep has {len(cells):,} cells, more than {MAX_CELLS:,}")
    return Plan(tuple(cells), None, notes, models)


def _axes(request: Request, cores: int) -> dict[str, Sequence[Any]]:
    """The values on each axis: those given, those of a model, or the usual one."""
    axes: dict[str, Sequence[Any]] = {name: (value,) for name, value in USUAL.values().items()}
    axes |= {"threads": (cores,), "device": ("auto",)}
    if request.like is not None:
        shape = shape_like(request.like)
        for name in WIDTHS:
            axes[name] = (getattr(shape, name),)
        if shape.kv_heads == shape.heads:  # the model shares none: a variant has what it prefers
            axes["kv_heads"] = (None,)
    for name, text in request.axes.items():
        axes[name] = AXES[name].read(text, flag(name))
    return axes


def _asked(
    choices: Iterable[Choice],
    seqs: Sequence[int],
    settings: Sequence[Setting],
    catalog: Catalog,
    tokens: int | None,
) -> Iterator[Cell]:
    """A variant that has no core, or no layer either, is measured at the first scope that it has,
    and so is the baseline beside it. One sweep holds the whole survey, each table like with like.
    """
    for choice in choices:
        scopes = catalog.variant(choice.name).scopes
        for seq, setting in itertools.product(seqs, settings):
            cell = _cell(choice, seq, setting, tokens)
            if setting.scope not in scopes:
                cell = replace(cell, setting=replace(cell.setting, scope=scopes[0]))
            yield cell


def _cell(choice: Choice, seq: int, setting: Setting, tokens: int | None) -> Cell:
    """The widths that comparisons share become the setting's own."""
    shared = {name: value for name, value in choice.options.items() if name in SHARED}
    own = {name: value for name, value in choice.options.items() if name not in SHARED}
    if choice.of_model and setting.scope == "core":
        own = {name: value for name, value in own.items() if name not in OF_PROJECTIONS}
    if own.get("kv_heads") == setting.kv_heads:
        own.pop("kv_heads", None)
    setting = _consistent(replace(setting, **shared), own.get("kv_heads"))
    if setting.scope != "block":  # there is nothing else that is shaped by them
        setting = replace(setting, feed=USUAL.feed, norm=USUAL.norm)
    if tokens is not None:
        setting = replace(setting, batch=tokens // seq)
    if setting.phase == "decode":  # a step sees the past only, whether --causal is given or not
        setting = replace(setting, causal=True)
    return Cell(variant=choice.name, options=own, seq=seq, setting=setting)


def _consistent(setting: Setting, own_kv_heads: Any) -> Setting:
    """The setting, if its widths fit one another; the usual head width goes without saying."""
    if setting.head_dim is None and setting.dim % setting.heads:
        hint = "give --head-dim, or another --dim or --heads"
        raise UsageError(f"dim {setting.dim} is not a multiple of {setting.heads} heads", hint)
    kv_heads = own_kv_heads or setting.kv_heads
    if kv_heads and setting.heads % kv_heads:
        raise UsageError(f"{setting.heads} heads are not a multiple of {kv_heads} kv heads")
    usual = setting.head_dim is not None and setting.heads * setting.head_dim == setting.dim
    return replace(setting, head_dim=None) if usual else setting


def _refuse_idle(request: Request, scopes: Sequence[str]) -> None:
    """Options of a block where none is measured."""
    given = [name for name in ("feed", "norm") if name in request.axes]
    if given and "block" not in scopes:
        raise UsageError(f"{flag(given[0])} is of the scope block", "give --scope block")


def _moved(choices: Iterable[Choice], scopes: Sequence[str], catalog: Catalog) -> Iterator[str]:
    """Notes of the variants that are measured at another scope than was asked for."""
    names: dict[str, dict[str, None]] = {"block": {}, "layer": {}}
    for choice in choices:
        there = catalog.variant(choice.name).scopes
        if not set(scopes) <= set(there):
            names[there[0]][choice.name] = None
    for scope, moved in names.items():
        if moved:
            one = len(moved) == 1
            why = {
                "block": "replaces the feed-forward" if one else "replace the feed-forward",
                "layer": "is a plain module" if one else "are plain modules",
            }[scope]
            yield f"{', '.join(moved)} {why}: measured at scope {scope}, beside the baseline there"


def _baseline(word: str, catalog: Catalog) -> Choice:
    choices = select((word,), catalog)
    if len(choices) != 1:
        raise UsageError(f"--baseline: {word!r} stands for {len(choices)} variants, name one")
    if wrong := SHARED.intersection(choices[0].options):
        name = min(wrong)
        raise UsageError(f"--baseline: its {name} is that of the variants compared with it")
    return choices[0]


def _beside(cell: Cell, baseline: Choice) -> Cell:
    """The baseline's cell: options that are those of the setting anyhow go without saying."""
    own = dict(baseline.options)
    if own.get("kv_heads") == cell.setting.kv_heads:
        own.pop("kv_heads", None)
    return replace(cell, variant=baseline.name, options=own)


def _tokens(request: Request) -> int | None:
    if request.tokens is None:
        return None
    if "batch" in request.axes:
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


def _refuse_too_many(axes: Mapping[str, Sequence[Any]]) -> None:
    count = math.prod(len(values) for values in axes.values())
    if count <= MAX_CELLS:
        return
    widest = max(axes, key=lambda axis: len(axes[axis]))
    message = f"the sweep has {count:,} cells, more than {MAX_CELLS:,}"
    raise UsageError(f"{message}: --{widest} alone has {len(axes[widest]):,} values")
