"""What a machine is, when two are the same, and what a GPU was doing while it was measured."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

#: Why a GPU's driver holds its clock below what the GPU could do.
ThrottleReason = Literal[
    "power cap",
    "heat",
    "power brake",  # the machine's power supply asks for it
    "hardware slowdown",
    "sync boost",  # of a group of GPUs that share one clock
    "clocks set",  # by whoever runs the machine
]
#: Words of the names of chips that say nothing.
COMMON = frozenset({"amd", "intel", "nvidia", "processor", "cpu", "gpu", "geforce", "a"})
Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Amount = Annotated[float, Meta(ge=0, le=1e20)]
Positive = Annotated[float, Meta(ge=1e-12, le=1e20)]
Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Gpu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU at work, as its driver sees it."""

    sm_mhz: Size
    celsius: Size
    throttle_reasons: tuple[ThrottleReason, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Marks a field that sets machines apart. One that bears no mark differs in every run."""

    kind: Literal["hardware", "software"]
    none_is_unknown: bool = True  # else None says that there is no such thing
    only_shared: bool = False  # of a mapping: what only one of two has does not set them apart


HARDWARE, SOFTWARE = Fact("hardware"), Fact("software")


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the numbers are true for. None stands for "not known", in older profiles too."""

    effattn: Annotated[str, SOFTWARE]
    python: Annotated[str, SOFTWARE]
    os: Annotated[str, SOFTWARE]
    torch: Annotated[str, SOFTWARE]
    torch_build: Annotated[str, SOFTWARE]
    blas: Annotated[str | None, SOFTWARE] = None
    cpu: Annotated[str, HARDWARE]
    cores: Annotated[Count, HARDWARE]  # usable by this process, container limits respected
    physical_cores: Size | None = None  # of the whole machine
    logical_cores: Size | None = None  # as many threads as they run at once
    cpu_mhz: Size | None = None  # at the start
    memory_bytes: Size
    load: Amount  # runnable processes per core at the start
    governor: Annotated[str | None, SOFTWARE] = None
    allowed_cores: Annotated[Positive | None, HARDWARE] = None  # by quotas, or all usable ones
    allowed_bytes: Size | None = None  # the same of memory
    accelerator: Annotated[str | None, Fact("hardware", none_is_unknown=False)] = None
    accelerator_memory_bytes: Size | None = None
    accelerator_free_bytes: Size | None = None  # at the start
    accelerator_sm_mhz: Annotated[Size | None, HARDWARE] = None  # the highest clock
    accelerator_memory_mhz: Annotated[Size | None, HARDWARE] = None
    accelerator_watts: Annotated[Positive | None, HARDWARE] = None  # its driver's power limit
    driver: Annotated[str | None, Fact("software", none_is_unknown=False)] = None
    environment: Annotated[Mapping[str, str], SOFTWARE] = field(default_factory=dict)
    #: How each engine was set up that was used and is not torch.
    engines: Annotated[Mapping[str, str], Fact("software", only_shared=True)] = field(
        default_factory=dict
    )

    @property
    def name(self) -> str:
        """The machine in a word, for a file: `h100-80gb-hbm3`, `epyc-9b14-8-cores`."""
        chip = self.accelerator or f"{self.cpu} {self.cores} cores"
        words = re.sub(r"\(\w+\)|@.*(?= \d+ cores)|\d+-core", "", chip.lower())
        parts = re.findall(r"[a-z0-9.]+", words)
        return "-".join(word for word in parts if word not in COMMON)[:60] or "machine"

    @property
    def words(self) -> str:
        """The machine in a few words."""
        parts = self.cpu, self.cores, self.accelerator
        return " ".join(str(word) for word in parts if word is not None)


FACTS: Mapping[str, Fact] = {
    name: mark
    for name, hint in Machine.__annotations__.items()
    for mark in getattr(hint, "__metadata__", ())
    if isinstance(mark, Fact)
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same on two sides."""

    what: str
    old: str
    new: str


def differences(
    old: Machine, new: Machine, kind: Literal["hardware", "software"] | None = None
) -> list[Difference]:
    """What sets two machines apart, the hardware first; or only what is of one kind.

    No differences of hardware: latencies are those of one machine. None at all: their measurements
    can stand in one profile.
    """
    names = sorted(FACTS, key=lambda name: FACTS[name].kind)
    return [
        Difference(name.replace("_", " "), _text(getattr(old, name)), _text(getattr(new, name)))
        for name in names
        if kind in (None, FACTS[name].kind) and _differ(name, old, new)
    ]


def _differ(name: str, old: Machine, new: Machine) -> bool:
    mine, theirs = getattr(old, name), getattr(new, name)
    if FACTS[name].only_shared:
        return any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())
    if FACTS[name].none_is_unknown and None in (mine, theirs):
        return False
    return bool(mine != theirs)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
