"""A way to run a model: its layers, the forms of weights and cache, and what that asks of it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.architecture import QUANTISED_CACHE, CacheForm, Model, Weights
from effattn_cli.models.budget import QUANTISED, Deployment

Swap = Literal["as it is", "exact", "lossy", "trained"]
SWAPS: tuple[Swap, ...] = ("as it is", "exact", "lossy", "trained")
FULL = (16.0, "")  # bits of what is not quantised
FEWER_WEIGHT_BITS: tuple[Weights | None, ...] = (None, "int8", "int4")
FEWER_CACHE_BITS: tuple[CacheForm | None, ...] = (None, "fp8", "int8")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way to run the model, and what it asks of the weights."""

    model: Model
    swap: Swap
    kept: float  # the share of its layers that are as they were
    deployment: Deployment
    window: int = 0  # tokens that the replaced layers see; 0 where that is no number
    #: What is known of each thing that it puts in, by task; None: nothing is.
    findings: Mapping[Task, Mapping[str, Finding | None]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        run = self.deployment
        forms = {"weights": run.weights, "cache": run.cache}
        return ", ".join([self.model.name, *(f"{form} {of}" for of, form in forms.items() if form)])

    @property
    def quantised(self) -> bool:
        """Whether weights or cache are of a form that nothing is measured with."""
        run = self.deployment
        return run.weights in QUANTISED or run.cache in QUANTISED_CACHE

    @property
    def bits(self) -> tuple[float, float]:
        """Of a weight, and of a number of the cache, their scales left out."""
        run = self.deployment
        return (
            QUANTISED.get(run.weights or "", FULL)[0] // 1,
            QUANTISED_CACHE.get(run.cache or "", FULL)[0] // 1,
        )


def quantised(layout: Layout) -> Iterator[Layout]:
    """The same with smaller weights, a smaller cache, or both, as far as neither form is given."""
    run = layout.deployment
    keeps = any(kept.what == "kv cache" for layer in layout.model.kinds for kept in layer.keeps)
    weights = FEWER_WEIGHT_BITS if run.weights is None else (run.weights,)
    caches = FEWER_CACHE_BITS if run.cache is None and keeps else (run.cache,)
    for form, cache in itertools.product(weights, caches):
        smaller = replace(run, weights=form, cache=cache)
        if smaller != run:
            yield replace(layout, swap="lossy", deployment=smaller)
