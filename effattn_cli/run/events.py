"""What a running sweep tells whoever watches it."""

from dataclasses import dataclass

from effattn_cli.records import Record

RETRY = "once more"  # the stage of second tries, of runs in which the machine was slower


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A run of a cell has ended, or one is about to start (`settled` is False)."""

    record: Record  # what is known of the cell now
    stage: str  # "counting", "memory", "round 1/3", ...
    done: int  # runs finished
    total: int  # runs planned, as far as known now
    seconds_left: float | None  # an estimate; None while there is nothing to go by
    settled: bool  # the cell needs no further run
