"""Answers of `effattn choose`, of layers and of a whole model."""

from collections.abc import Mapping

from msgspec import Struct

from effattn_cli.analysis import model_choice, model_layout
from effattn_cli.analysis.selection.candidates import Weights
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.analysis.selection.quality import Quality
from effattn_cli.analysis.selection.relaxation import Wish
from effattn_cli.cards import Stored
from effattn_cli.estimate import Basis
from effattn_cli.setting import Setting


class ResourceLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many seconds, bytes or joules."""

    resource: str
    max: float
    quantile: float | None  # the share of calls that must keep it; null: the median call


class Needs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked for."""

    limits: tuple[ResourceLimit, ...]
    causal: bool
    decode: bool
    padding: bool
    exact: bool
    weights: Weights
    fidelity: float | None  # the largest relative error of what keeps the weights
    recall: int | None  # pairs that it must recall
    update: int | None  # pairs of which it must know the last value
    parity: int | None  # bits of which it must know the parity
    confidence: float  # the least probability of keeping each limit


class KnownAmount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount, its 95 % interval, and where it comes from."""

    value: float
    low: float
    high: float
    basis: Basis
    sources: tuple[int, ...]  # the lengths whose values it came from
    exponent: float | None  # the exponent of the length by which it was carried on
    known: bool  # the interval comes from samples, and is no guess
    busy: bool  # other processes kept the machine busy
    how: str  # in words


class CandidateAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate at one length, held against the limits."""

    label: str
    variant: str
    options: Mapping[str, Stored]
    fits: bool
    decision: str  # why it lost, or how well it fits
    probability: float | None  # that all limits are kept
    certain: bool  # measured at this very length, no end of an interval above a limit
    binding: str | None  # the resource that is least likely to be kept
    dominated_by: str | None  # a label that is no worse in anything, and better in something
    quality: Quality
    estimates: Mapping[str, KnownAmount]  # by resource
    slack: Mapping[str, tuple[float, float, float]]  # what is left of each limit: low, usual, high
    machine: str | None  # where several compete; its name is the end of the label
    cost: KnownAmount | None  # of a million tokens, in the currency of the machine's price


class PricedMachine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine whose candidates compete with those of others."""

    name: str
    words: str
    setting: Setting
    price: str | None  # as it was typed


class ChoiceAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer at one length."""

    seq: int
    prefer: Preference
    scored: str | None  # what the user's own scores are of
    recommended: str | None  # null: nothing fits
    answer: str  # in a sentence
    tied: tuple[str, ...]  # labels that nothing known tells apart from the recommended one
    front: tuple[str, ...]  # the Pareto front
    candidates: tuple[CandidateAt, ...]  # the best first; then those that lost


class RelaxedNeeds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the question after which something fits."""

    label: str
    seq: int | None  # a shorter context
    limits: tuple[ResourceLimit, ...]  # looser ones
    without: Wish | None  # a need that is given up
    cost: float  # how many times shorter, or looser
    words: str


class LongestContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The longest context at which a candidate keeps all limits."""

    label: str
    longest: int | None  # null: at no length
    surely: int | None  # where the upper ends of all intervals are within the limits
    at_most: int | None  # where the lower ends are
    open: bool  # nothing says that it does not reach further


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which variant to deploy: at one length, at each of several (`lengths`), or how far each
    candidate reaches (`reaches`). What was not asked is null or empty.
    """

    units: Mapping[str, str]
    setting: Setting
    needs: Needs
    scores: str  # where published scores come from
    machines: tuple[PricedMachine, ...] = ()  # where several compete, or prices are given
    answer: str | None = None  # in a sentence
    for_all: str | None = None  # of several lengths: the one variant for all of them
    lengths: tuple[ChoiceAt, ...] = ()  # of several: the answer at each
    #: Without a length: the longest context of each candidate.
    reaches: tuple[LongestContext, ...] = ()
    seq: int | None = None  # of one length, and all that follows
    prefer: Preference | None = None
    scored: str | None = None  # what the user's own scores are of
    recommended: str | None = None  # null: nothing fits
    tied: tuple[str, ...] = ()  # labels that nothing known tells apart from the recommended one
    front: tuple[str, ...] = ()  # the Pareto front
    candidates: tuple[CandidateAt, ...] = ()  # the best first; then those that lost
    relaxations: tuple[RelaxedNeeds, ...] = ()  # where nothing fits


class ModelLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes, seconds to read the prompt, tokens a second, an error at most, pairs or bits at
    least; null where there is no limit.
    """

    memory: int | None
    prefill: float | None
    tokens_per_second: float | None
    fidelity: float | None
    recall: int | None
    update: int | None
    parity: int | None
    confidence: float


class Duration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds with their 95 % interval."""

    seconds: float
    low: float
    high: float
    basis: Basis


class LayoutAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout of the model, held against the limits."""

    layout: str
    swap: model_layout.Swap
    kept: float  # the share of its layers that are as they were
    weights: str | None
    cache: str | None
    memory: Mapping[str, int]  # bytes by what takes them, and in total
    allocated: int  # by an engine with pages of one size
    prefill: Duration | None  # to read the prompt
    token: Duration | None  # of a step of decoding
    tokens_per_second: float | None  # over the batch
    longest: int | None  # the longest context that fits the memory
    probabilities: Mapping[model_choice.Resource, float | None]
    probability: float | None  # that all limits are kept
    fits: bool


class ModelChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which layout of a whole model to deploy."""

    units: Mapping[str, str]
    model: str
    context: int
    batch: int
    limits: ModelLimits
    machine: str | None  # where the parts were measured
    setting: Setting | None
    best: str | None  # a layout; null: nothing fits
    layouts: tuple[LayoutAt, ...]  # what is preferred comes first
