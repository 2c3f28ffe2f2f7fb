"""The layouts of a model that a choice is made from, and what each asks of its weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from effattn_cli.analysis.model_choice import Limits
from effattn_cli.analysis.model_layout import SWAPS, Layout, Swap, quantised
from effattn_cli.architecture import Layer, Model
from effattn_cli.catalog import Catalog
from effattn_cli.models import replacing
from effattn_cli.models.budget import Deployment
from effattn_cli.models.replacing import Change
from effattn_cli.plan.model_choices import arranged

FULL = "full_attention"
#: What takes the place of full attention, and the shares of it that stay, where nobody said.
WINDOWS = (1024, 4096)
TRAINED = ("gated-deltanet", "mamba2", "kda")
SHARES = (Fraction(1, 2), Fraction(1, 4), Fraction(0))


@dataclass(frozen=True, kw_only=True)
class Question:
    """The model, how it is to run, and within what."""

    model: Model
    deployment: Deployment
    limits: Limits
    profiles: Sequence[str] = ()  # names; none: the newest that have parts of it
    setting: Mapping[str, Any]  # the values on the axes that were given
    replacements: Sequence[str] = ()  # as typed; none: the usual ones
    keep: str | None = None
    weights: str = "any"  # what may become of them: "any", "keep" or "train"
    evidence: Sequence[str] = ()  # names of evaluations; none: the newest, and those shipped


def layouts(question: Question) -> Iterator[Layout]:
    """The model as it is, then with smaller weights and caches, then with other mixers."""
    model, run = question.model, question.deployment
    own = Layout(model=model, swap="as it is", kept=1.0, deployment=run)
    yield own
    if question.weights != "train" and not question.replacements:
        yield from quantised(own)
    seen, catalog = {model.layers}, Catalog()
    for layout in _replaced(question):
        swap = swap_of(model, layout, catalog)
        if layout.layers in seen or (question.weights == "keep" and swap == "trained"):
            continue
        seen.add(layout.layers)
        pairs = zip(model.layers, layout.layers, strict=True)
        kept = sum(old == new for old, new in pairs) / len(model.layers)
        window = _window(layout)
        yield Layout(model=layout, swap=swap, kept=kept, deployment=run, window=window)


def _window(layout: Model) -> int:
    """The narrowest of its windows; 0 where it has none."""
    options = (layer.mixer.options for layer in layout.layers if layer.mixer)
    windows = [given["window"] for given in options if isinstance(given.get("window"), int)]
    return min((int(window) for window in windows), default=0)


def _replaced(question: Question) -> Iterator[Model]:
    model = question.model
    if question.replacements:
        yield from arranged(model, question.replacements, question.keep)
        return
    if FULL not in replacing.kinds(model):
        return
    own = {layer.mixer.variant for layer in model.layers if layer.mixer}
    for fraction in SHARES:
        for window in WINDOWS:
            if window < question.deployment.context:
                options = {"window": window}
                change = Change(kind=FULL, variant="sliding-window", options=options, keep=fraction)
                yield replacing.changed(model, change)
        for variant in TRAINED:
            if variant not in own:
                yield replacing.changed(
                    model, Change(kind=FULL, variant=variant, options={}, keep=fraction)
                )


def swap_of(model: Model, layout: Model, catalog: Catalog) -> Swap:
    """What the layout asks of the model's weights: the most of what its new layers do."""
    order: list[Swap] = [*SWAPS]
    swaps: list[Swap] = ["as it is"]
    for old, new in dict.fromkeys(zip(model.layers, layout.layers, strict=True)):
        if old != new:
            swaps.append(layer_swap(old, new, catalog))
    return max(swaps, key=order.index)


def layer_swap(old: Layer, new: Layer, catalog: Catalog) -> Swap:
    """A softmax layer can become what its card says; any other has nothing that could be kept."""
    if old.mixer is None or new.mixer is None:
        return "trained"
    before = catalog.variant(old.mixer.variant)
    after = catalog.variant(new.mixer.variant)
    plain = before.swap(old.mixer.options, causal=old.mixer.causal, kv_heads=True)
    if plain != "exact" or not replacing.same_projections(old.mixer, new.mixer):
        return "lossy" if before.name == after.name else "trained"
    return after.swap(new.mixer.options, causal=new.mixer.causal, kv_heads=True)
