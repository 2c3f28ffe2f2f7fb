"""What sweeps run on, and whom they tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.records import Profile, Record, Sampling
from effattn_cli.run.events import Step
from effattn_cli.run.fork_server import Launcher


class Saver(Protocol):
    """Where a sweep is saved: the whole of it, and then what becomes known of single cells."""

    def write(self, profile: Profile) -> None: ...

    def add(self, record: Record) -> None: ...


class Unsaved:
    """Saves nothing, where a sweep is only planned."""

    def write(self, profile: Profile) -> None: ...

    def add(self, record: Record) -> None: ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    launcher: Launcher
    memory_limit: int  # bytes that a cell may take of the machine's own memory
    saver: Saver
    watch: Callable[[Step], None]
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(
        cls,
        sampling: Sampling,
        launcher: Launcher,
        saver: Saver,
        watch: Callable[[Step], None],
    ) -> "RunContext":
        """With the memory limit that was asked for, else the usual one."""
        limit = sampling.memory_limit or usual_memory_limit()
        return cls(launcher=launcher, memory_limit=limit, saver=saver, watch=watch)
