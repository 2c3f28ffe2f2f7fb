"""What a sweep lacks, and what ended it: its time budget, or an interruption."""

from collections.abc import Sequence

from effattn_cli import units
from effattn_cli.records import Profile, Record

TOO_LATE = "would not fit the time budget"


def is_too_late(record: Record) -> bool:
    """Whether the time budget of its sweep left the cell without a run."""
    why = record.prediction.why if record.prediction is not None else ""
    if record.failure is not None and record.failure.reason == "too-costly":
        why = record.failure.message
    return why.startswith(TOO_LATE)


def is_open(record: Record) -> bool:
    """Whether a sweep that goes on would measure the cell."""
    costly = record.failure is not None and record.failure.reason == "too-costly"
    return costly or record.failure is None


def lacks(profile: Profile) -> str | None:
    """What is missing in a profile and why, in a sentence; None where nothing is.

    Predictions and failures that another limit explains are results.
    """
    records, wanted = profile.records, profile.sampling.rounds
    budget = profile.sampling.time_budget
    pending = [record for record in records if record.status == "pending"]
    late = [record for record in records if is_too_late(record)]
    fewer = [record for record in records if record.runs and len(record.runs) < wanted]
    if profile.finished and budget is None:
        fewer = []  # a merged profile, say: nothing ended it
    parts = []
    if pending:
        parts.append(_of(pending, records, "no result yet"))
    if late:
        parts.append(_of(late, records, "no run"))
    if fewer:
        parts.append(_of(fewer, records, f"fewer than {units.number(wanted, 'round')}"))
    if not parts:
        return None
    ended = profile.finished and budget is not None
    why = f"The time budget of {units.duration(budget or 0)} ended the sweep"
    return f"{why if ended else 'Unfinished'}: {', '.join(parts)}."


def _of(some: Sequence[Record], records: Sequence[Record], what: str) -> str:
    share = f"{len(some)} of {units.number(len(records), 'cell')}"
    return f"{share} {'has' if len(some) == 1 else 'have'} {what}"
