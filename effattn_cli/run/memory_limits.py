"""How much memory a cell may take, and the process that holds it."""

from dataclasses import dataclass

from effattn_cli.host import processes, processor
from effattn_cli.machine import Machine
from effattn_cli.records import Cell, Record

HEADROOM = 1.25  # of an accelerator's memory: its allocator holds more than what is alive


@dataclass(frozen=True)
class MemoryLimits:
    """Of one sweep, in bytes."""

    here: int  # of this machine's own memory
    machine: Machine
    is_given: bool  # by the user, and holds on every device

    def of_cell(self, cell: Cell) -> int:
        """What a cell may take where it runs."""
        if cell.setting.device == "cpu" or self.is_given:
            return self.here
        return processes.usual_accelerator_limit(self.machine) or self.here

    def of_device(self, cell: Cell) -> int:
        """What the allocator of its device may hold."""
        return int(self.of_cell(cell) * HEADROOM)

    def of_process(self, record: Record | None = None) -> int:
        """What a process may take of the machine's own memory: one that holds a cell, or that only
        counts.
        """
        if record is None:
            return processes.with_allowance(self.here)
        setting = record.cell.setting
        beside = processor.COPIES_BYTES if setting.takes_turns else 0
        needs = record.needs_bytes
        return processes.with_allowance(self.here, threads=setting.threads, needs=needs) + beside
