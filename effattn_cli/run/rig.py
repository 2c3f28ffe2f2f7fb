"""What sweeps run on, and whom they tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from effattn_cli.records import Profile
from effattn_cli.run.events import Step
from effattn_cli.run.launch import Launcher


@dataclass(frozen=True, kw_only=True)
class Rig:
    launcher: Launcher
    memory_limit: int  # bytes that a cell may take of the machine's own memory
    save: Callable[[Profile], None]
    watch: Callable[[Step], None]
    clock: Callable[[], float] = time.monotonic
