"""The layers of a model, the memory that it takes, and what fits, on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.app.models import Budget, Budgets
from effattn_cli.architecture import (
    QUANTISED_CACHE,
    CacheForm,
    Feed,
    Kept,
    Layer,
    Mixer,
    Model,
    What,
)
from effattn_cli.models.budget import QUANTISED, Line
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.setting import Dtype

#: A gated activation by its own name, by the function in it.
GATES = {"silu": "swiglu", "gelu": "geglu", "gelu_pytorch_tanh": "geglu", "relu": "reglu"}
SHORT: Mapping[What, str] = {
    "kv cache": "kv", "recurrent state": "state", "convolution state": "conv",
    "index keys": "index",
}  # fmt: skip
LAYERS = (
    Column(title="layers", right=True),
    Column(title="kind", extra=1),
    Column(title="mixer", folds=2),
    Column(title="heads", extra=1),
    Column(title="feed-forward", folds=2),
    Column(title="parameters", right=True),
    Column(title="keeps", right=True, folds=1),
)


def shown(answers: Sequence[Budgets]) -> Lines:
    """The model, and beside it its other layouts, if there are some."""
    return _one(answers[0]) if len(answers) == 1 else _several(answers)


def _one(answer: Budgets) -> Lines:
    """Layers, then memory, then sentences, the answer last."""
    cache = answer.budgets[0].deployment.cache or answer.model.dtype
    sentences = (Text(units.clean(line)) for line in notes(answer))
    return Lines(
        Text(heading(answer.model), "bold"), Text(), layers(answer.model, cache), Text(),
        memory(answer.budgets), Text(), *sentences,
    )  # fmt: skip


def _several(answers: Sequence[Budgets]) -> Lines:
    """A row for each layout, under the layers of each kind that they have."""
    first = answers[0]
    cache = first.budgets[0].deployment.cache or first.model.dtype
    every = [layer for answer in answers for layer in answer.model.distinct()]
    kinds = first.model.having(layers=every)
    lines = [line for line in notes(first) if line not in [*_all_fits(first)]]
    return Lines(
        Text(heading(first.model), "bold"), Text(),
        Grid(LAYERS[1:], [Row(cells=row.cells[1:]) for row in _layer_rows(kinds, cache)]), Text(),
        _layouts(answers), Text(), *(Text(units.clean(line)) for line in lines),
    )  # fmt: skip


def _all_fits(answer: Budgets) -> Iterator[str]:
    if answer.limit is not None:
        yield from _fits(answer, answer.limit)


def _layouts(answers: Sequence[Budgets]) -> Grid:
    """Parameters, the total at each context, and the longest context that fits."""
    runs = [budget.deployment for budget in answers[0].budgets]
    several = len({run.batch for run in runs}) > 1
    columns = [
        Column(title="layout", folds=2), Column(title="parameters", right=True, extra=1),
        Column(title="weights", right=True, extra=1),
    ]  # fmt: skip
    for run in runs:
        text = units.length(run.context) + (f" x {run.batch}" if several else "")
        columns.append(Column(title=f"total at {text}", right=True))
    if answers[0].fits:
        columns.append(Column(title="longest", right=True))
    return Grid(columns, [_layout_row(answer) for answer in answers])


def _layout_row(answer: Budgets) -> Row:
    totals = (units.size(budget.memory.total) for budget in answer.budgets)
    weights = units.size(answer.budgets[0].memory.lines["weights"])
    cells = [answer.model.name, units.count(answer.model.parameters), weights, *totals]
    if answer.fits:
        longest = answer.fits[0].context
        cells.append(tokens(longest).removesuffix(" tokens") if longest else "does not fit")
    return Row(cells=tuple(Text(units.clean(cell)) for cell in cells))


def heading(model: Model) -> str:
    """The model in a line."""
    parts = [
        f"{units.number(len(model.layers), 'layer')} of width {model.dim}",
        f"{units.count(model.parameters)} parameters",
        model.dtype,
    ]
    if model.context:
        parts.append(f"made for {units.length(model.context)} tokens")
    return units.clean(f"{model.name} ({model.family}): {', '.join(parts)}")


def layers(model: Model, cache: CacheForm) -> Grid:
    """A row for each kind of layer, and one for what is around them."""
    rows = _layer_rows(model, cache)
    outside = {
        "embedding": model.embedding,
        "head (tied)" if model.tied else "head": model.head,
        "norms, rest": model.other,
    }
    for name, parameters in outside.items():
        if parameters or name.startswith("head ("):
            cells = ("-", "-", name, "-", "-", units.count(parameters), "-")
            rows.append(Row(cells=tuple(map(Text, cells))))
    return Grid(LAYERS, rows)


def _layer_rows(model: Model, cache: CacheForm) -> list[Row]:
    rows = (_layer(layer, count, cache, model.dtype) for layer, count in model.distinct().items())
    return [Row(cells=tuple(map(Text, row))) for row in rows]


def _layer(layer: Layer, count: int, cache: CacheForm, plain: Dtype) -> tuple[str, ...]:
    mixer = layer.mixer
    return (
        str(count),
        mixer.kind if mixer else "-",
        _mixers(layer),
        _heads(mixer) if mixer else "-",
        feed_words(layer.feed),
        units.count(layer.all_parameters),
        ", ".join(kept_words(part, cache, plain) for part in layer.keeps) or "-",
    )


def _mixers(layer: Layer) -> str:
    words = [mixer_words(layer.mixer), "cross-attention" if layer.cross else ""]
    return " + ".join(word for word in words if word) or "-"


def mixer_words(mixer: Mixer | None) -> str:
    """As it is typed, without options as usual."""
    if mixer is None:
        return ""
    options = ",".join(f"{name}={value}" for name, value in mixer.options.items())
    return units.clean(f"{mixer.variant}:{options}" if options else mixer.variant)


def _heads(mixer: Mixer) -> str:
    of = f"{mixer.heads}" if mixer.heads == mixer.kv_heads else f"{mixer.heads}/{mixer.kv_heads}"
    return f"{of} x {mixer.head_dim}"


def feed_words(feed: Feed | None) -> str:
    """The feed-forward in a few words."""
    if feed is None:
        return "-"
    function = feed.activation.removeprefix("gated ")
    gated = function != feed.activation
    name = GATES.get(function, f"gated {function}") if gated else function
    text = f"{name} {feed.width}"
    if feed.experts:
        text = f"{feed.chosen} of {feed.experts} experts, {text}"
    return f"{text} + {feed.shared} shared" if feed.shared else text


def kept_words(kept: Kept, cache: CacheForm, plain: Dtype) -> str:
    """What is kept of a sequence: bytes for a token, or altogether."""
    size = units.size(round(kept.numbers * kept.number_bytes(cache, plain)))
    if kept.every is None:
        return f"{size} {SHORT[kept.what]}"
    token = "source token" if kept.source else "token"
    per = f"a {token}" if kept.every == 1 else f"for {kept.every} {token}s"
    return f"{size} {per}" + (
        f", {units.length(kept.max_tokens)} at most" if kept.max_tokens else ""
    )


def memory(budgets: Sequence[Budget]) -> Grid:
    """A line for each thing that takes memory, a column for each context and batch size."""
    batches = {budget.deployment.batch for budget in budgets}
    columns = [Column(title="memory")]
    for budget in budgets:
        run = budget.deployment
        batch = f" x {run.batch}" if batches != {1} else ""
        columns.append(Column(title=units.length(run.context) + batch, right=True))
    rows = [_memory_row(line, budgets) for line in get_args(Line)]
    totals = [
        Row(cells=_sizes("total", [b.memory.total for b in budgets]), opens=True),
    ]
    if any(budget.memory.kept for budget in budgets):
        totals.append(
            Row(cells=_sizes("total, one page size", [b.memory.allocated for b in budgets]))
        )
    return Grid(columns, [*(row for row in rows if row is not None), *totals])


def _memory_row(line: Line, budgets: Sequence[Budget]) -> Row | None:
    values = [budget.memory.lines.get(line, 0) for budget in budgets]
    return Row(cells=_sizes(line, values)) if any(values) else None


def _sizes(name: str, values: Sequence[int]) -> tuple[Text, ...]:
    return tuple(map(Text, (name, *map(units.size, values))))


def notes(answer: Budgets) -> Iterator[str]:
    """What is assumed, what was left out, and what fits."""
    first = answer.budgets[0]
    run = first.deployment
    if run.weights is not None and run.weights in QUANTISED:
        yield f"{run.weights}: the weights of the layers, with {QUANTISED[run.weights][1]}."
    if run.cache is not None and run.cache in QUANTISED_CACHE:
        yield f"{run.cache}: keys and values, with {QUANTISED_CACHE[run.cache][1]}."
    pieces = f"prompts read in pieces of {units.length(run.chunk)} tokens"
    if run.training:
        yield (
            "Workspace is modelled, and leaves out what the backward pass keeps: effattn profile"
            " --model ... --phase train measures that. Optimiser: Adam in float32."
        )
    else:
        yield f"Weights and what is kept are exact; workspace is modelled, {pieces}."
    if first.memory.kept:
        yield (
            f"One page size: {units.size(first.memory.page)} for every layer, as engines with one"
            " pool of pages allocate."
        )
    for note in answer.model.notes:
        yield f"{note[:1].upper()}{note[1:]}."
    if answer.limit is not None:
        yield from _fits(answer, answer.limit)


def _fits(answer: Budgets, limit: int) -> Iterator[str]:
    limit_of_model = answer.model.context
    for fit in answer.fits:
        who = f"{fit.batch} sequences" if fit.batch > 1 else "one sequence"
        if not fit.context:
            smallest = min(budget.memory.total for budget in answer.budgets)
            yield (
                f"{answer.model.name} does not fit {units.size(limit)}: its weights take"
                f" {units.size(answer.budgets[0].memory.lines['weights'])}, all"
                f" {units.size(smallest)} at least."
            )
            return
        text = f"{units.size(limit)} holds {who} of up to {tokens(fit.context)}"
        if fit.paged != fit.context:
            text += f" ({fit.paged:,} with pages of one size)"
        beyond = limit_of_model is not None and fit.context > limit_of_model
        yield text + (f"; the model is made for {tokens(limit_of_model or 0)}." if beyond else ".")


def tokens(count: int) -> str:
    """A count of tokens in words; the largest stands for no limit."""
    return "any length" if count >= 2**31 else f"{count:,} tokens"
