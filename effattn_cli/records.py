"""The nouns of effattn: plain frozen records, all that crosses between processes and into files.

Units everywhere: seconds, bytes, FLOPs (one multiply-add is two), tokens. Only `report` scales.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from statistics import median
from typing import Literal

from effattn_cli.cards import Value, Variant
from effattn_cli.machine import Gpu, Machine

Phase = Literal["forward", "train", "decode"]
Scope = Literal["core", "layer", "block"]
Dtype = Literal["float64", "float32", "bfloat16", "float16"]
Alloc = Literal["retained", "default"]
Cache = Literal["warm", "cold"]
Reason = Literal[
    "unsupported",  # the variant says that it cannot do this
    "out-of-memory",
    "timeout",
    "crashed",  # a signal or an exit without an answer
    "raised",  # an exception
    "not-finite",
    "wrong-shape",
    "too-costly",  # not started: it would not fit the time limit or budget
]

#: What a sweep expects to happen now and then; every other reason is a surprise (exit code 3).
EXPECTED: frozenset[str] = frozenset({"unsupported", "out-of-memory", "timeout", "too-costly"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of a sweep: what is measured. Equal cells are the same cell, in every profile."""

    variant: str
    options: Mapping[str, Value] = field(default_factory=dict)
    seq: int  # tokens; in the decode phase, the context with the new token
    batch: int = 1
    dim: int = 512
    heads: int = 8
    kv_heads: int | None = None  # None: as many as heads, or what the variant prefers
    head_dim: int | None = None  # None: dim / heads
    device: str = "cpu"
    dtype: Dtype = "float32"
    threads: int = 1
    phase: Phase = "forward"
    scope: Scope = "core"
    causal: bool = False
    padding: float = 0.0  # share of each sequence that is padding, at its end
    compile: bool = False
    alloc: Alloc = "retained"
    cache: Cache = "warm"  # cold: an accelerator's cache is overwritten before each call

    @cached_property
    def key(self) -> str:
        """A short name for the cell, the same in every process and every profile."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        text = json.dumps(known | {"options": dict(self.options)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def label(self) -> str:
        """The variant with the options that differ from its defaults: `linformer:rank=64`."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.variant}:{options}" if options else self.variant

    def resized(self, seq: int, batch: int | None = None) -> "Cell":
        return replace(self, seq=seq, batch=self.batch if batch is None else batch)

    @cached_property
    def line(self) -> str:
        """Names the cell's curve: all of the cell but its length and its batch size."""
        return self.resized(0, 0).key


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Counted on fake tensors, without running anything: exact for the eager program."""

    matmul_flops: int
    other_flops: int  # elementwise and reductions, one per element and pass
    transcendentals: int  # exp, log, ... outside of fused attention; in other_flops too
    read_bytes: int  # what eager kernels move; fusion and caches are not modelled
    write_bytes: int
    peak_bytes: int  # live at the worst moment, beyond inputs and weights
    operators: int = 0  # that were dispatched, views left out

    @property
    def flops(self) -> int:
        return self.matmul_flops + self.other_flops

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.write_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Measured in a pass of its own, in a fresh process."""

    peak_bytes: int  # beyond inputs, weights and state, at the worst moment of one call
    input_bytes: int
    weight_bytes: int
    state_bytes: int = 0  # what decoding must keep between tokens
    saved_bytes: int = 0  # of the peak: activations that the backward needs; the rest is workspace
    method: str = ""  # how the peak was found
    resident_bytes: int | None = None  # the same peak as the operating system or driver saw it
    call_seconds: float = 0.0  # how long the pass's call took, a rough first estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """How much of a sparse feed-forward the tokens used, its weights and inputs being random."""

    total_parameters: int
    active_parameters: int  # those that one token meets
    dropped: float = 0.0  # share of the tokens' choices of an expert that found it full
    load: float | None = None  # choices of the busiest expert over their mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One visit to a cell: warm-up and samples in one fresh process."""

    samples: tuple[float, ...]  # seconds a call, in order, none dropped
    warmup: int  # calls before the first sample
    first_seconds: float  # the first call, with whatever is done once (compiling, autotuning)
    stopped: str  # why sampling ended: "steady", "time", or "count"
    foreign_load: float | None = None  # cores that other processes kept busy meanwhile
    contended: tuple[float, ...] = ()  # samples of a try on a busier machine; they count nowhere
    joules: float | None = None  # of a call, beyond what the idle device draws, by its own counter
    calibration: float | None = None  # seconds of a fixed kernel around them: the machine's speed
    launch: float | None = None  # seconds until a call had started all its work on an accelerator
    gpu: Gpu | None = None  # at the end of the round

    @property
    def median(self) -> float:
        return median(self.samples)

    def instead_of(self, other: "Round") -> "Round":
        """This try of a round counts, and all samples of the other one are kept apart."""
        return replace(self, contended=(*self.contended, *other.contended, *other.samples))


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A latency that was not measured: the nearest measured length times the ratio of costs."""

    seconds: float
    low: float
    high: float
    peak_bytes: int | None
    anchor_seq: int  # the length whose measurement it extends
    why: str  # why the cell was not measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    reason: Reason
    message: str
    output: tuple[str, ...] = ()  # the last lines that the cell's process printed


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """All that is known of one cell; a field that is None was not found out."""

    cell: Cell
    cost: Cost | None = None
    needs_bytes: int | None = None  # inputs, weights, state and the counted peak together
    memory: Memory | None = None
    masked_flops: int | None = None  # of the cost's: spent on scores that a mask threw away
    usage: Usage | None = None  # of a sparse feed-forward
    rounds: tuple[Round, ...] = ()
    prediction: Prediction | None = None
    failure: Failure | None = None
    kernels: tuple[str, ...] = ()  # what was dispatched: the SDPA backend that really ran
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["measured", "predicted", "failed", "pending"]:
        if self.failure is not None:
            return "failed"
        if self.prediction is not None:
            return "predicted"
        return "measured" if self.rounds else "pending"

    @property
    def samples(self) -> tuple[float, ...]:
        return tuple(sample for part in self.rounds for sample in part.samples)

    @property
    def seconds(self) -> float | None:
        """Median over the rounds' medians, or the predicted latency; None if there is neither."""
        if self.failure is not None:
            return None
        if self.prediction is not None:
            return self.prediction.seconds
        return median(part.median for part in self.rounds) if self.rounds else None

    @property
    def joules(self) -> float | None:
        """Median over the rounds; None where a round could not tell."""
        found = [part.joules for part in self.rounds if part.joules is not None]
        return median(found) if found and len(found) == len(self.rounds) else None

    @property
    def useful_flops(self) -> int | None:
        """Those executed, less what a mask threw away; None where that was not seen."""
        if self.cost is None or self.masked_flops is None:
            return None
        return self.cost.flops - self.masked_flops

    @property
    def peak_bytes(self) -> int | None:
        """Measured if it was measured, else predicted."""
        if self.failure is not None:
            return None
        if self.memory is not None:
            return self.memory.peak_bytes
        return self.prediction.peak_bytes if self.prediction else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bandwidth:
    """Bytes a second of an operator that touches so many of them: caches make the difference."""

    touched: int  # bytes
    speed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """What a device can do at best, measured."""

    device: str
    dtype: Dtype
    threads: int
    flops: float  # a second, of large matrix products
    exponentials: float  # a second, of numbers in a cache
    bandwidths: tuple[Bandwidth, ...]
    dispatch: float  # seconds of an operator on next to nothing; on an accelerator, of its launch


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a cell is measured."""

    rounds: int = 3  # fresh processes: medians differ by 4-9 % from one to the next
    precision: float = 0.02  # half width of the median's 95 % interval at which sampling stops
    seconds: float = 0.5  # sampling time a round, at most
    min_samples: int = 5
    max_samples: int = 200
    seed: int = 0  # of the inputs and of the order of the cells
    time_limit: float = 40.0  # seconds of a cell's calls; also of each of its processes
    time_budget: float | None = None  # the whole sweep
    memory_limit: int | None = None  # bytes; None: 80 % of what is available at the start


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """How well models with these variants did, as their owner measured it; more is better."""

    of: str  # "accuracy on our validation set, %"
    values: Mapping[str, float]  # by the label of a variant with its options


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A sweep, finished or not: everything needed to read it, repeat it, or resume it."""

    created: str  # ISO 8601, UTC
    command: str  # what was typed
    machine: Machine
    sampling: Sampling
    baseline: str | None  # label of the variant that the others are compared with
    variants: Mapping[str, Variant]
    records: tuple[Record, ...]
    finished: bool = False
    rooflines: tuple[Roofline, ...] = ()
    scores: Scores | None = None
