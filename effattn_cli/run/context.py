"""What sweeps run on, and whom they tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.records import Profile, Sampling
from effattn_cli.run.events import Step
from effattn_cli.run.fork_server import Launcher


@dataclass(frozen=True, kw_only=True)
class Rig:
    launcher: Launcher
    memory_limit: int  # bytes that a cell may take of the machine's own memory
    save: Callable[[Profile], None]
    watch: Callable[[Step], None]
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(
        cls,
        sampling: Sampling,
        launcher: Launcher,
        save: Callable[[Profile], None],
        watch: Callable[[Step], None],
    ) -> "Rig":
        """With the memory limit that was asked for, else the usual one."""
        limit = sampling.memory_limit or usual_memory_limit()
        return cls(launcher=launcher, memory_limit=limit, save=save, watch=watch)
