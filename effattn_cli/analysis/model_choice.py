"""Which layout of a model to deploy within limits: as it is, with what keeps its weights, or with
what it must be trained with.

Memory is worked out from the layers; the times are sums of measured parts, and not known where
there are none. The model as it is comes first, then what keeps the weights, then what does not,
and among these the layouts that keep more of its layers.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from msgspec import structs

from effattn_cli.analysis.model_layout import SWAPS, Layout
from effattn_cli.analysis.model_time import Times
from effattn_cli.analysis.selection.candidates import CONFIDENCE
from effattn_cli.analysis.selection.evidence import Task
from effattn_cli.estimate import Estimate
from effattn_cli.models.budget import Memory, longest, memory
from effattn_cli.setting import Cache, Setting

Resource = Literal["memory", "prefill", "tokens/s"] | Task
#: No chance is nearer to 1 than this: a sum of measured parts is one machine on one day.
SURE = 0.999


@dataclass(frozen=True, kw_only=True)
class Limits:
    """None of what is not limited."""

    memory: int | None = None  # bytes
    prefill: float | None = None  # seconds to read the prompt
    tokens_per_second: float | None = None  # over the batch
    #: Of the measured quality of a mixer: its relative error, at most; the load, at least, that a
    #: tiny model learns with it.
    evidence: Mapping[Task, float] = field(default_factory=dict)
    confidence: float = CONFIDENCE

    @property
    def timed(self) -> bool:
        """Whether a time is limited."""
        return self.prefill is not None or self.tokens_per_second is not None


@dataclass(frozen=True, kw_only=True)
class Option:
    """A layout against the limits."""

    layout: Layout
    limits: Limits
    memory: Memory
    prefill: Estimate | None  # seconds
    token: Estimate | None  # seconds of a step of decoding
    longest: int | None  # the longest context that fits the memory; None where that has no limit

    @property
    def rate(self) -> float | None:
        """Tokens a second over the batch."""
        return self.layout.deployment.batch / self.token.value if self.token else None

    @property
    def probabilities(self) -> Mapping[Resource, float | None]:
        """That each limit is kept; None where it is not known."""
        limits, probabilities = self.limits, dict[Resource, float | None]()
        if limits.memory is not None:
            probabilities["memory"] = 1.0 if self.memory.total <= limits.memory else 0.0
        if limits.prefill is not None:
            probabilities["prefill"] = _probability(self.prefill, limits.prefill)
        if limits.tokens_per_second is not None:
            seconds = self.layout.deployment.batch / limits.tokens_per_second
            probabilities["tokens/s"] = _probability(self.token, seconds)
        return {**probabilities, **self.proven}

    @property
    def proven(self) -> Mapping[Resource, float]:
        """Whether all that is put in is known to keep a limit of quality."""
        return {task: self._meets(task, limit) for task, limit in self.limits.evidence.items()}

    def _meets(self, task: Task, limit: float) -> float:
        findings = self.layout.findings.get(task, {}).values()
        return float(all(one is not None and one.meets(limit) for one in findings))

    @property
    def probability(self) -> float | None:
        """That all limits are kept; None where one of them is not known and none is broken."""
        probabilities = list(self.probabilities.values())
        if any(each == 0 for each in probabilities):
            return 0.0
        definite = [each for each in probabilities if each is not None]
        return None if len(definite) < len(probabilities) else prod(definite)

    @property
    def fits(self) -> bool:
        return self.probability is not None and self.probability >= self.limits.confidence

    @property
    def binding(self) -> Resource | None:
        """The limit that is least likely to be kept, of those that are known."""
        definite = {name: each for name, each in self.probabilities.items() if each is not None}
        return min(definite, key=lambda name: definite[name], default=None)

    @property
    def order(self) -> tuple[float, ...]:
        """What is preferred comes first: a milder swap, weights of more bits, more layers kept,
        wider windows.
        """
        layout = self.layout
        weights, cache = layout.bits
        # Eight bits cost less quality than a window does in every layer that it is put into.
        return SWAPS.index(layout.swap), -layout.kept, -weights, -cache, -layout.window


def _probability(estimate: Estimate | None, limit: float) -> float | None:
    return min(SURE, estimate.probability(limit)) if estimate is not None else None


def options(
    layouts: Iterable[Layout], limits: Limits, times: Times, setting: Setting | None
) -> list[Option]:
    """The layouts against the limits, what is preferred first. `setting` says where and how times
    were measured; None: nothing was.
    """
    judged = [_option(layout, limits, times, setting) for layout in layouts]
    return sorted(judged, key=lambda option: option.order)


def _option(layout: Layout, limits: Limits, times: Times, setting: Setting | None) -> Option:
    prefill = token = None
    if setting is not None and not layout.quantised:
        prefill = _seconds(layout, times, setting, "forward")
        token = _seconds(layout, times, setting, "decode")
    fitting = None
    if limits.memory is not None:
        fitting = longest(layout.model, layout.deployment, limits.memory)
    return Option(
        layout=layout,
        limits=limits,
        memory=memory(layout.model, layout.deployment),
        prefill=prefill,
        token=token,
        longest=fitting,
    )


def _seconds(
    layout: Layout, times: Times, setting: Setting, phase: Literal["forward", "decode"]
) -> Estimate | None:
    run = layout.deployment
    if phase == "decode" and not all(
        layer.mixer.causal for layer in layout.model.layers if layer.mixer
    ):
        return None
    placed = structs.replace(setting, phase=phase, batch=run.batch)
    for cache in _caches(placed):
        whole = times.of_pass(layout.model, run.context, structs.replace(placed, cache=cache))
        if whole.total is not None:
            return whole.total
    return None


def _caches(setting: Setting) -> tuple[Cache, ...]:
    """How its parts may have been measured: on a CPU steps are cold in all but small models."""
    if setting.device != "cpu":
        return (setting.cache,)
    return ("cold", "warm") if setting.phase == "decode" else ("warm",)


def best(options: Sequence[Option]) -> Option | None:
    """The first that fits."""
    return next((option for option in options if option.fits), None)


def front(options: Sequence[Option]) -> list[Option]:
    """Those that no other beats: one that is preferred to it and takes no more of anything. What is
    not known counts as the worst.
    """
    return [option for option in options if not any(_beats(other, option) for other in options)]


def _beats(one: Option, other: Option) -> bool:
    mine, theirs = _scores(one), _scores(other)
    preferred = one.order <= other.order
    return preferred and mine != theirs and all(map(operator.le, mine, theirs))


def _scores(option: Option) -> tuple[float, ...]:
    prefill = option.prefill.value if option.prefill else float("inf")
    token = option.token.value if option.token else float("inf")
    unproven = sum(not met for met in option.proven.values())
    return option.memory.total, prefill, token, unproven
