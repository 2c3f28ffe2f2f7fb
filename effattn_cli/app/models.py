"""The model that somebody means, in the layout that they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from effattn_cli.architecture import CacheForm, Model, Weights
from effattn_cli.errors import UsageError
from effattn_cli.models import by_hand
from effattn_cli.models.budget import Deployment, Memory, longest, memory
from effattn_cli.models.by_hand import Typed
from effattn_cli.plan.model_choices import arranged, found
from effattn_cli.quantities import parse_bytes
from effattn_cli.ranges import integer, integers

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
    cache: CacheForm | None = None
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
    budgets: tuple[Budget, ...]
    limit: int | None
    fits: tuple[Fit, ...]


def budgets(asked: Asked) -> tuple[Budgets, ...]:
    """The answer of `effattn model`: of the model, then of each of its other layouts.

    Raises:
        UsageError: something typed cannot be read, or the model cannot.
    """
    model = meant(asked.name, asked.by_hand)
    limit = parse_bytes(asked.memory, "--memory") if asked.memory is not None else None
    usual = Deployment(
        context=1, weights=asked.weights, cache=asked.cache, training=asked.training,
        chunk=integer(asked.chunk, "--chunk"),
    )  # fmt: skip
    batches = _few(integers(asked.batch, "--batch", largest=2**20), MOST_BATCHES, "--batch")
    runs = [
        replace(usual, context=context, batch=batch)
        for batch in batches
        for context in _contexts(asked.context, model)
    ]
    every = (model, *arranged(model, asked.replacements, asked.keep))
    return tuple(_budgets(layout, runs, limit) for layout in every)


def _budgets(model: Model, runs: Sequence[Deployment], limit: int | None) -> Budgets:
    batches = dict.fromkeys(run.batch for run in runs)
    fits = (_fit(model, replace(runs[0], batch=batch), limit) for batch in batches)
    return Budgets(
        model=model,
        budgets=tuple(Budget(run, memory(model, run)) for run in runs),
        limit=limit,
        fits=tuple(fit for fit in fits if fit is not None),
    )


def _contexts(text: str | None, model: Model) -> Sequence[int]:
    """Those asked for; else four that end where the model does."""
    if text is not None:
        return _few(integers(text, "--context"), MOST_CONTEXTS, "--context")
    end = min(model.context or 2**15, 2**17)
    return sorted({max(1, end >> halvings) for halvings in range(4)})


def _few(values: Sequence[int], maximum: int, flag: str) -> Sequence[int]:
    if len(values) > maximum:
        raise UsageError(f"{flag}: {len(values)} values are too many for one table, give {maximum}")
    return values


def _fit(model: Model, run: Deployment, limit: int | None) -> Fit | None:
    if limit is None:
        return None
    context, paged = (longest(model, run, limit, paged=paged) for paged in (False, True))
    return Fit(run.batch, context, paged)


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
