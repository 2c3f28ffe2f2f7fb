"""What the parent asks of a measuring process, and what that answers: every message has a type.

What a process answers is decoded by the type that its job asks for: a plugin can write into the
channel of its process, and whatever it writes there is at most a failed cell.
"""

from collections.abc import Mapping

from msgspec import Raw, Struct, field

from effattn_cli.cards import Value, Variant
from effattn_cli.catalog.sources import absolute
from effattn_cli.evaluation import Fidelity, Training
from effattn_cli.evaluation import Task as Synthetic
from effattn_cli.machine import Count, Machine, Size
from effattn_cli.records import Cell, Cost, Memory, Preparation, Reason, Run, Sampling, Usage
from effattn_cli.setting import Dtype


class Task(Struct, frozen=True, kw_only=True):
    """A cell, and the plugin that its variant is in; None for a bundled one."""

    cell: Cell
    plugin: str | None = None


def task(cell: Cell, variants: Mapping[str, Variant]) -> Task:
    """The task of a cell of one of these variants."""
    return Task(cell=cell, plugin=absolute(variants[cell.variant].plugin))


class CountCost(Struct, frozen=True, kw_only=True, tag=True):
    """Count the cost of every cell. An answer each, in order: `Counted` or `Problem`."""

    tasks: tuple[Task, ...]


class MeasureMemory(Struct, frozen=True, kw_only=True, tag=True):
    """Watch calls of a cell. Answer: `Watched`."""

    task: Task
    sampling: Sampling
    expected: float | None = None  # seconds of a call, as far as is known
    device_memory: int | None = None  # bytes that it may take of an accelerator


class MeasureLatency(Struct, frozen=True, kw_only=True, tag=True):
    """Time a cell. Answer: `Timed`."""

    task: Task
    sampling: Sampling
    device_memory: int | None = None


class DescribeMachine(Struct, frozen=True, kw_only=True, tag=True):
    """Look at the machine. Answer: `Described`."""

    device: str  # a comma list
    engines: tuple[str, ...] = ()


class MeasureRoofline(Struct, frozen=True, kw_only=True, tag=True):
    """Measure what a device can do at best. Answer: a `Roofline`."""

    device: str
    dtype: Dtype
    threads: int


class ListLaws(Struct, frozen=True, kw_only=True, tag=True):
    """Answer: `Laws`."""


class CheckLaw(Struct, frozen=True, kw_only=True, tag=True):
    """Test whether a variant keeps a law. Answer: `Checked`."""

    variant: str
    plugin: str | None
    law: str
    options: Mapping[str, Value] = field(default_factory=dict)  # those that are not as usual


class MeasureFidelity(Struct, frozen=True, kw_only=True, tag=True):
    """Compare a variant's core with exact attention. Answer: `Compared`."""

    task: Task
    wanted: Fidelity  # without results
    seed: int
    file: str | None = None  # with q, k and v, where the regime is the user's own


class TrainTiny(Struct, frozen=True, kw_only=True, tag=True):
    """Train a tiny model with a variant, and test it. Answer: `Trained`."""

    task: Task
    synthetic: Synthetic
    wanted: Training  # without results


class WriteGraph(Struct, frozen=True, kw_only=True, tag=True):
    """Write the graph that the engine of a cell runs. Answer: `Written`."""

    task: Task
    path: str
    seed: int = 0


class Nothing(Struct, frozen=True, kw_only=True, tag=True):
    """Answer with what a process is: `Pid`."""


Request = (
    CountCost | MeasureMemory | MeasureLatency | DescribeMachine | MeasureRoofline | ListLaws
    | CheckLaw | MeasureFidelity | TrainTiny | WriteGraph | Nothing
)  # fmt: skip


class Job(Struct, frozen=True, kw_only=True):
    """A request, and what a fresh process may take to answer it."""

    request: Request
    timeout: float = 60.0  # seconds
    memory: int | None = None  # bytes that the process may allocate


class Counted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cost: Cost
    resident_bytes: Size  # inputs, weights and state: there before the call


class Watched(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls of a cell showed while they were watched."""

    memory: Memory
    kernels: tuple[str, ...] = ()
    masked_flops: Size | None = None
    usage: Usage | None = None
    preparation: Preparation | None = None
    warnings: tuple[str, ...] = ()


class Timed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    run: Run
    warnings: tuple[str, ...] = ()


class Described(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    machine: Machine
    devices: tuple[str, ...]


class Laws(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    names: tuple[str, ...]


class Port(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor that goes into a graph, or comes out of it."""

    name: str
    dtype: str
    shape: tuple[Size, ...]


class Checked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a variant keeps a law: how it breaks it, or why the law was skipped; else it does."""

    broken: str | None = None
    skipped: str | None = None


class Compared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fidelity: Fidelity
    state_bytes: Size | None = None  # what decoding keeps; None where the core does not decode


class Trained(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    training: Training
    state_bytes: Size | None = None  # what decoding keeps; None where the variant does not decode


class Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A graph in a file, and its tensors: name, dtype and shape."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Pid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pid: Count


class Problem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request could not be answered."""

    reason: Reason
    message: str
    hint: str | None = None


class Refusal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Carries `Problem`, so that it cannot be taken for another answer."""

    problem: Problem


class Reply(Struct, frozen=True, kw_only=True):
    """How a job ended, and the answers that its process gave before it did."""

    answers: tuple[Raw, ...] = ()
    exit: int | None = None  # exit code, or -signal; None where the time ran out
    output: tuple[str, ...] = ()  # the last lines that it printed
    starved: bool = False  # the kernel ended it because the machine ran out of memory

    @property
    def timed_out(self) -> bool:
        return self.exit is None
