"""The model that somebody means, in the layout that they ask for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from effattn_cli.architecture import Model
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.models import by_hand, layouts, presets, reading
from effattn_cli.models.budget import Deployment, Memory, Weights, longest, memory
from effattn_cli.models.by_hand import Typed
from effattn_cli.models.layouts import Change
from effattn_cli.plan.variant_choices import select
from effattn_cli.quantities import parse_bytes, parse_share
from effattn_cli.ranges import integers
from effattn_cli.setting import Dtype

MOST_CONTEXTS, MOST_BATCHES = 8, 4  # in one answer


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which model, in which layout, and how it is to run: as typed."""

    name: str | None
    by_hand: Typed
    replacements: tuple[str, ...] = ()
    keep: str | None = None
    context: str | None = None
    batch: str = "1"
    weights: Weights | None = None
    cache: Dtype | None = None
    chunk: str = "2k"
    memory: str | None = None
    training: bool = False


@dataclass(frozen=True)
class Budget:
    """The memory of a model that runs so."""

    deployment: Deployment
    memory: Memory


@dataclass(frozen=True)
class Fit:
    """The longest context within a limit, for one batch size; 0 where not even one token fits."""

    batch: int
    context: int  # by what the architecture needs
    paged: int  # by what an engine allocates


@dataclass(frozen=True)
class Budgets:
    """A model, its memory over contexts and batch sizes, and what fits the limit, if one is set."""

    model: Model
    before: Model | None  # as it was, where layers are replaced
    budgets: tuple[Budget, ...]
    limit: int | None
    fits: tuple[Fit, ...]


def budgets(asked: Asked) -> Budgets:
    """The answer of `effattn model`.

    Raises:
        UsageError: something typed cannot be read, or the model cannot.
    """
    original = meant(asked.name, asked.by_hand)
    model = arranged(original, asked.replacements, asked.keep)
    limit = parse_bytes(asked.memory, "--memory") if asked.memory is not None else None
    usual = Deployment(
        context=1, weights=asked.weights, cache=asked.cache, training=asked.training,
        chunk=_one(asked.chunk, "--chunk"),
    )  # fmt: skip
    batches = _few(integers(asked.batch, "--batch", largest=2**20), MOST_BATCHES, "--batch")
    made = [
        replace(usual, context=context, batch=batch)
        for batch in batches
        for context in _contexts(asked.context, model)
    ]
    return Budgets(
        model=model,
        before=original if model is not original else None,
        budgets=tuple(Budget(each, memory(model, each)) for each in made),
        limit=limit,
        fits=tuple(_fits(model, usual, batches, limit)) if limit is not None else (),
    )


def _contexts(text: str | None, model: Model) -> Sequence[int]:
    """Those asked for; else four that end where the model does."""
    if text is not None:
        return _few(integers(text, "--context"), MOST_CONTEXTS, "--context")
    end = min(model.context or 2**15, 2**17)
    return sorted({max(1, end >> halvings) for halvings in range(4)})


def _few(values: Sequence[int], most: int, flag: str) -> Sequence[int]:
    if len(values) > most:
        raise UsageError(f"{flag}: {len(values)} values are too many for one table, give {most}")
    return values


def _one(text: str, flag: str) -> int:
    values = integers(text, flag)
    if len(values) != 1:
        raise UsageError(f"{flag}: {text!r} stands for {len(values)} values, give one")
    return values[0]


def _fits(model: Model, usual: Deployment, batches: Sequence[int], limit: int) -> Iterator[Fit]:
    for batch in batches:
        run = replace(usual, batch=batch)
        context, paged = (longest(model, run, limit, paged=paged) for paged in (False, True))
        yield Fit(batch, context, paged)


def meant(name: str | None, typed: Typed) -> Model:
    """The model that is named, or that is given by its layers.

    Raises:
        UsageError: there are both, or neither.
    """
    if (name is None) == (typed.layers is None):
        hint = "effattn model config.json, or --layers gated-deltanet*36,gated-attention*12"
        which = "neither a model nor --layers" if name is None else "a model and --layers"
        raise UsageError(f"{which} is given: give one of them", hint)
    return found(name) if name is not None else by_hand.model(typed)


def found(text: str) -> Model:
    """The model of a preset, a config.json, or a folder with one.

    Raises:
        UsageError: there is no such preset or file, or it cannot be read right.
    """
    if text.lower() in presets.configs():
        return presets.model(text.lower())
    path = Path(text)
    if path.suffix != ".json" and not path.is_dir():
        raise presets.unknown_name(text)
    return reading.read(path)


def arranged(model: Model, replacements: Sequence[str], keep: str | None) -> Model:
    """The model with its layers replaced as typed: `full=gated-deltanet`, and what share stays."""
    share = kept_share(keep) if keep is not None else Fraction(0)
    for text in replacements:
        model = layouts.changed(model, change_of(model, text, share))
    return model


def change_of(model: Model, text: str, keep: Fraction) -> Change:
    """The change that `full=gated-deltanet` asks for.

    Raises:
        UsageError: it cannot be read, or names no kind of layer or no variant.
    """
    word, equals, typed = text.partition("=")
    if not equals or not word.strip() or not typed.strip():
        hint = f"its kinds of layers: {', '.join(layouts.kinds(model))}"
        raise UsageError(f"--replace: {text!r} is not like full=gated-deltanet", hint)
    choices = select((typed.strip(),), Catalog())
    if len(choices) != 1:
        raise UsageError(f"--replace: {typed!r} stands for {len(choices)} variants, name one")
    kind = layouts.kind_of(model, word.strip())
    return Change(kind=kind, variant=choices[0].name, options=choices[0].options, keep=keep)


def kept_share(text: str) -> Fraction:
    """The share of layers that keep their kind: `1/4`, `25%`, `0.25`.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"\s*([0-9]{1,4})\s*/\s*([1-9][0-9]{0,3})\s*", text)
    if match is None:
        return Fraction(parse_share(text, "--keep")).limit_denominator(1000)
    share = Fraction(int(match[1]), int(match[2]))
    if share >= 1:
        raise UsageError(f"--keep: {text!r} is no share below 1, like 1/4")
    return share
