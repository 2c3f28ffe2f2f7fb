"""The nouns of hardware: what a machine is, and what its GPU was doing while it was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Why a GPU's driver holds its clock below what the GPU could do.
Brake = Literal[
    "power cap",
    "heat",
    "power brake",  # the machine's power supply asks for it
    "hardware slowdown",
    "sync boost",  # of a group of GPUs that share one clock
    "clocks set",  # by whoever runs the machine
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU at work, as its driver sees it."""

    sm_mhz: int
    celsius: int
    brakes: tuple[Brake, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the numbers are true for. None stands for "not known", in older profiles too."""

    effattn: str
    python: str
    os: str
    torch: str
    torch_build: str
    blas: str | None = None
    cpu: str
    cores: int  # usable by this process, container limits respected
    physical_cores: int | None = None  # of the whole machine
    logical_cores: int | None = None  # as many threads as they run at once
    cpu_mhz: int | None = None  # at the start
    memory_bytes: int
    load: float  # runnable processes per core at the start
    governor: str | None = None
    allowed_cores: float | None = None  # what the container's quota grants, or all usable ones
    allowed_bytes: int | None = None  # the same of memory
    accelerator: str | None = None
    accelerator_memory_bytes: int | None = None
    accelerator_free_bytes: int | None = None  # at the start
    accelerator_sm_mhz: int | None = None  # the most that it may be clocked at
    accelerator_memory_mhz: int | None = None
    accelerator_watts: float | None = None  # the power limit that its driver keeps
    driver: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # OMP_*, MALLOC_*, ...
