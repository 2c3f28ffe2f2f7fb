"""The nouns of effattn: frozen records, all that crosses between processes and into files.

Units everywhere: seconds, bytes, FLOPs (one multiply-add is two), tokens. Only `units` scales. What
comes in from a file or another process is decoded by these types, whose ranges are stated here.
"""

from collections.abc import Mapping
from functools import cached_property
from statistics import median
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.cards import Stored, Variant
from effattn_cli.machine import Amount, Count, Gpu, Machine, Positive, Size
from effattn_cli.setting import Dtype, Setting

Reason = Literal[
    "unsupported",  # the variant says that it cannot do this
    "out-of-memory",
    "timeout",
    "crashed",  # a signal or an exit without an answer
    "raised",  # an exception
    "not-finite",
    "not-equal",  # an engine's output is not that of eager torch
    "wrong-shape",
    "bad-answer",  # its process answered with something that is no measurement
    "too-costly",  # not started: it would not fit the time limit or budget
]

#: What a sweep expects to happen now and then; every other reason is a surprise (exit code 3).
EXPECTED: frozenset[str] = frozenset({"unsupported", "out-of-memory", "timeout", "too-costly"})

#: Cores that others keep busy from which on a latency is suspect: one busy core slows a cell of two
#: threads up to thirtyfold, and an idle system stays below this.
BUSY = 0.1

Samples = Annotated[tuple[Positive, ...], Meta(min_length=1)]


class Cell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point of a sweep: what is measured. Equal cells are the same cell, in every profile."""

    variant: str
    options: Mapping[str, Stored] = field(default_factory=dict)
    seq: Count  # tokens; in the decode phase, the context with the new token
    setting: Setting = Setting()

    def __hash__(self) -> int:
        return hash((self.variant, self.seq, self.setting, frozenset(self.options.items())))

    @property
    def label(self) -> str:
        """The variant with the options that differ from its defaults: `linformer:rank=64`."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.variant}:{options}" if options else self.variant

    def resized(self, seq: int, batch: int | None = None) -> "Cell":
        """The same at another length, and batch size if one is given."""
        if batch is None:
            return replace(self, seq=seq)
        return replace(self, seq=seq, setting=replace(self.setting, batch=batch))

    @property
    def tokens_per_call(self) -> int:
        """Over the batch; a step of decoding makes one token of each sequence."""
        return self.setting.batch * (1 if self.setting.phase == "decode" else self.seq)

    @property
    def curve(self) -> "Cell":
        """What the cells of one curve have in common: all but the length and the batch size."""
        return self.resized(0, 0)


class Cost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counted on fake tensors, without running anything: exact for the eager program.

    Of a call; where the steps of decoding differ, the mean over a period of them.
    """

    matmul_flops: Size
    other_flops: Size  # elementwise and reductions, one per element and pass
    transcendentals: Size  # exp, log, ... outside of fused attention; in other_flops too
    read_bytes: Size  # what eager kernels move; fusion and caches are not modelled
    write_bytes: Size
    peak_bytes: Size  # live at the worst moment, beyond inputs and weights
    operators: Size = 0  # that were dispatched, views left out
    steps: Count = 1  # of decoding, over which it is the mean; the peak is that of the worst
    worst_flops: Size | None = None  # of the dearest of these steps

    @property
    def flops(self) -> int:
        return self.matmul_flops + self.other_flops

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.write_bytes


RESIDENT = "resident size"  # how the method of a peak begins that the system saw


class Memory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measured in a pass of its own, in a fresh process."""

    peak_bytes: Size  # beyond inputs, weights and state, at the worst moment of one call
    input_bytes: Size
    weight_bytes: Size
    state_bytes: Size = 0  # what decoding must keep between tokens
    saved_bytes: Size = 0  # of the peak: activations that the backward needs; the rest is workspace
    method: str = ""  # how the peak was found
    resident_bytes: Size | None = None  # the same peak as the operating system or driver saw it
    call_seconds: Amount = 0.0  # how long the pass's call took, a rough first estimate


class Preparation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine that makes a graph of a call took before the first one."""

    export_seconds: Amount | None = None
    load_seconds: Amount | None = None  # a session of it: optimising the graph, packing weights


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a sparse feed-forward the tokens used, its weights and inputs being random."""

    total_parameters: Size
    active_parameters: Size  # those that one token meets
    dropped: Amount = 0.0  # share of the tokens' choices of an expert that found it full
    load: Amount | None = None  # choices of the busiest expert over their mean


class Run(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One process for one cell: warm-up and samples. A round of a sweep has a run of each cell."""

    samples: Samples  # seconds a call, or a mean over a period of steps; in order, none dropped
    warmup: Size  # calls before the first sample
    first_seconds: Positive  # the first call, with whatever is done once (compiling, autotuning)
    stopped: str  # why sampling ended: "steady", "time", or "count"
    background_load: Amount | None = None  # cores that other processes kept busy meanwhile
    discarded: tuple[Positive, ...] = ()  # samples of a try on a busier machine; not in `samples`
    joules: Amount | None = None  # of a call, beyond what the idle device draws, by its own counter
    calibration: Positive | None = (
        None  # seconds of a fixed kernel around them: the machine's speed
    )
    launch: Positive | None = (
        None  # seconds until a call had started all its work on an accelerator
    )
    gpu: Gpu | None = None  # at the end of the run
    worst_step: Positive | None = None  # seconds of the dearest step of a period, where they differ

    @cached_property
    def median(self) -> float:
        return median(self.samples)

    @property
    def is_busy(self) -> bool:
        """Whether other processes kept the machine busy meanwhile."""
        return self.background_load is not None and self.background_load >= BUSY

    def superseding(self, other: "Run") -> "Run":
        """This try of a run counts, and all samples of the other one are kept apart."""
        return replace(self, discarded=(*self.discarded, *other.discarded, *other.samples))


class Prediction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A latency that was not measured: the nearest measured length times the ratio of costs."""

    seconds: Positive
    low: Amount
    high: Positive
    peak_bytes: Size | None
    anchor_seq: Count  # the length whose measurement it extends
    why: str  # why the cell was not measured


class Failure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a cell has no result."""

    reason: Reason
    message: str
    output: tuple[str, ...] = ()  # the last lines that the cell's process printed


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All that is known of one cell; a field that is None was not found out."""

    cell: Cell
    cost: Cost | None = None
    needs_bytes: Size | None = None  # inputs, weights, state and the counted peak together
    memory: Memory | None = None
    masked_flops: Size | None = None  # of the cost's: spent on scores that a mask threw away
    usage: Usage | None = None  # of a sparse feed-forward
    preparation: Preparation | None = None  # of an engine that makes a graph of it
    runs: tuple[Run, ...] = ()
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
        return "measured" if self.runs else "pending"

    @property
    def steps(self) -> int:
        """The calls that a sample stands for: steps of decoding, where these differ."""
        return self.cost.steps if self.cost is not None else 1

    @property
    def worst_step(self) -> float | None:
        """Seconds of the dearest step of decoding; None where all are alike."""
        seconds = [run.worst_step for run in self.runs if run.worst_step is not None]
        return median(seconds) if seconds and self.failure is None else None

    @property
    def samples(self) -> tuple[float, ...]:
        return tuple(sample for run in self.runs for sample in run.samples)

    @cached_property
    def seconds(self) -> float | None:
        """Median over the runs' medians, or the predicted latency; None if there is neither."""
        if self.failure is not None:
            return None
        if self.prediction is not None:
            return self.prediction.seconds
        return median(run.median for run in self.runs) if self.runs else None

    @property
    def background_load(self) -> float | None:
        """The most cores that other processes kept busy during a run, where it was suspicious."""
        loads = [run.background_load or 0.0 for run in self.runs if run.is_busy]
        return max(loads, default=None)

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


class Bandwidth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes a second of an operator whose working set is so large: caches make the difference."""

    working_set_bytes: Count
    speed: Positive


class Roofline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device can do at best, measured."""

    device: str
    dtype: Dtype
    threads: Count
    flops: Positive  # a second, of large matrix products
    exponentials: Positive  # a second, of numbers in a cache
    bandwidths: Annotated[tuple[Bandwidth, ...], Meta(min_length=1)]
    dispatch: (
        Positive  # seconds of an operator on next to nothing; on an accelerator, of its launch
    )
    doubts: tuple[str, ...] = ()  # why it may be too low: the machine was busy, say
    raised: tuple[str, ...] = ()  # by which cells, that were faster than what was measured


class Sampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a cell is measured."""

    rounds: Count = 3  # fresh processes for each cell: medians differ by 4-9 % between them
    #: Half width of the median's 95 % interval at which sampling stops.
    precision: Annotated[float, Meta(ge=1e-12, lt=1)] = 0.02
    seconds: Positive = 0.5  # sampling time of a run, at most
    min_samples: Count = 5
    max_samples: Count = 200
    seed: Size = 0  # of the inputs and of the order of the cells
    time_limit: Positive = 40.0  # seconds of a cell's calls; also of each of its processes
    time_budget: Amount | None = None  # the whole sweep
    memory_limit: Size | None = None  # bytes; None: 80 % of what is available at the start


class Scores(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well models with these variants did, as their owner measured it; more is better."""

    of: str  # "accuracy on our validation set, %"
    values: Mapping[str, float]  # by the label of a variant with its options


class Shard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a sweep a profile holds."""

    number: Count  # from 1 on
    of: Count
    cells: Count  # of the whole sweep
    sentinel: Cell  # that every shard measures: it tells how fast their machines are
    borrowed: bool  # the sentinel is of another shard's part

    @property
    def words(self) -> str:
        return f"{self.number}/{self.of}"


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    models: tuple[Model, ...] = ()  # whose parts the cells are: one, then its other layouts
    shard: Shard | None = None  # where it is a part of a sweep
