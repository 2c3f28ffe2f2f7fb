"""The cells of a sweep: every variant at every point of the axes, and the baseline beside them."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.models.mixers import OF_PROJECTIONS
from effattn_cli.plan.model_plan import model_plan
from effattn_cli.plan.presets import own_mixers
from effattn_cli.plan.request import Request
from effattn_cli.plan.sweep_axes import WIDTHS, axes_of, lengths_that_fit, tokens_of
from effattn_cli.plan.sweep_plan import Plan, refuse_too_many
from effattn_cli.plan.variant_choices import Choice, select
from effattn_cli.records import Cell
from effattn_cli.setting import USUAL, Setting, flag

#: The widths that a comparison needs equal on both sides. Fewer key-value heads are what a variant
#: is about: given inline they stay its option, and the baseline keeps its own.
SHARED = frozenset(WIDTHS[:3])


def plan(request: Request, catalog: Catalog, cores: int) -> Plan:
    """The cells of a request, on the devices that it names, with `cores` threads unless it says
    otherwise.

    The cells of a variant come in one run, from the shortest length to the longest.

    Raises:
        UsageError: an option cannot be read, two exclude one another, no variant is named,
            or there are too many cells.
    """
    if request.model is not None:
        return model_plan(request, cores)
    choices = select(request.variants, catalog, lambda: own_mixers(request.like))
    if not choices:
        hint = "--variant linformer, say; `effattn variants` lists them"
        raise UsageError("no variant is named", hint)
    tokens = tokens_of(request)
    seqs, notes = lengths_that_fit(request.seq, tokens)
    axes = axes_of(request, cores)
    baselines = [] if request.baseline == "none" else [request.baseline]
    refuse_too_many({"variant": [*choices, *baselines], "seq": seqs, **axes})
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
        raise UsageError(f"{flag(given[0])} applies to the scope block", "give --scope block")


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
