"""Cells that were measured on this machine before, in place of measuring them again."""

from collections.abc import Iterator

from msgspec.structs import replace

from effattn_cli import library, store
from effattn_cli.app import Note
from effattn_cli.machine import differences
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.units import number


def reused(profile: Profile, note: Note) -> Profile:
    """The profile with the records of saved ones that hold just what it would measure.

    The machine, its torch and settings, the variant's code, and how cells are sampled are the same;
    a warning at each record says where it is from.
    """
    open_cells = {record.cell for record in profile.records}
    by_cell: dict[Cell, Record] = {}
    for name, old in _alike(profile):
        before = len(by_cell)
        for record in old.records:
            code = old.variants[record.cell.variant].code
            wanted = record.cell in open_cells and record.cell not in by_cell
            if wanted and _is_whole(record, profile) and code == _code(record.cell, profile):
                source = f"measured before, on {old.created[:10]} in {name}"
                by_cell[record.cell] = replace(record, warnings=(*record.warnings, source))
        if taken := len(by_cell) - before:
            note(f"{number(taken, 'cell')} reused from {name}")
    if not by_cell:
        note("no saved profile has these cells from this machine: all are measured")
    records = tuple(by_cell.get(record.cell, record) for record in profile.records)
    return replace(profile, records=records)


def _alike(profile: Profile) -> Iterator[tuple[str, Profile]]:
    """The saved profiles that were measured here in the same way, the newest first."""
    for name, path in library.newest().items():
        if differences(store.heading(path).machine, profile.machine):
            continue
        old = store.read(path)
        if _way(old.sampling) == _way(profile.sampling):
            yield name, old


def _way(sampling: Sampling) -> Sampling:
    """How a run samples, whatever the limits of the sweep are."""
    usual = Sampling()
    return replace(
        sampling,
        rounds=usual.rounds,
        time_limit=usual.time_limit,
        time_budget=usual.time_budget,
        memory_limit=usual.memory_limit,
    )


def _is_whole(record: Record, profile: Profile) -> bool:
    return record.status == "measured" and len(record.runs) >= profile.sampling.rounds


def _code(cell: Cell, profile: Profile) -> str:
    return profile.variants[cell.variant].code
