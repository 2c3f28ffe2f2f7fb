"""One profile out of several: the shards of a sweep, or further rounds of the same cells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from effattn_cli import machine
from effattn_cli.analysis.compare.differences import codes, samplings
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.own_scores import joined
from effattn_cli.cards import Variant
from effattn_cli.errors import UsageError
from effattn_cli.machine import Difference
from effattn_cli.records import Cell, Profile, Record

SIDE_BY_SIDE = "effattn compare takes them side by side; -o FOLDER/ writes one of each machine"
RANKS = {"measured": 0, "failed": 1, "predicted": 2, "pending": 3}  # what says more of a cell


def merge(profiles: Sequence[Profile], command: str) -> Profile:
    """The cells of all; of one that several measured, the runs of all.

    Raises:
        UsageError: they were not measured by the same code in the same way on the same machine. A
            profile states one machine, so nothing can overrule this. Or they hold scores of
            different things.
    """
    refuse_apart(profiles)
    records: dict[Cell, Record] = {}
    for record in _records(profiles):
        cell = record.cell
        records[cell] = _joined(records[cell], record) if cell in records else record
    variants: dict[str, Variant] = {}
    for profile in profiles:
        variants = {**profile.variants, **variants}
    oldest = min(profiles, key=lambda profile: profile.created)
    others = (profile.rooflines for profile in reversed(profiles))
    return replace(
        oldest,
        command=command,
        baseline=next((p.baseline for p in profiles if p.baseline is not None), None),
        variants=variants,
        records=tuple(_in_order(records)),
        rooflines=utilisation.joined(*others, oldest.rooflines),
        finished=all(profile.finished for profile in profiles),
        scores=joined(profiles),
        shard=oldest.shard if all(each.shard == oldest.shard for each in profiles) else None,
    )


def refuse_apart(profiles: Sequence[Profile]) -> None:
    """
    Raises:
        UsageError: they were not measured by the same code in the same way on the same machine.
    """
    first = profiles[0]
    for number, other in enumerate(profiles[1:], 2):
        apart = [
            *machine.differences(first.machine, other.machine),
            *codes(first, other),
            *samplings(first, other),
        ]
        if apart:
            raise UsageError(_refusal(apart, number), SIDE_BY_SIDE)


def missing(profiles: Iterable[Profile]) -> Iterator[str]:
    """The shards of a sweep that are not among the profiles: `shards 3 and 5 of 8 are missing`."""
    there: dict[tuple[int, int, Cell], set[int]] = {}
    for shard in (profile.shard for profile in profiles):
        if shard is not None:
            sweep = (shard.of, shard.cells, shard.sentinel)
            there.setdefault(sweep, set()).add(shard.number)
    for (of, _, _), numbers in there.items():
        absent = [str(number) for number in range(1, of + 1) if number not in numbers]
        listed = ", ".join(absent[:10]) + (", ..." if absent[10:] else "")
        if len(absent) == 1:
            yield f"shard {listed} of {of} is missing"
        elif absent:
            yield f"shards {listed} of {of} are missing"


def _records(profiles: Sequence[Profile]) -> Iterator[Record]:
    """Those of all; a sentinel where it is beside its block, if it is there: then it has as many
    runs as the others.
    """
    at_home = {
        record.cell
        for profile in profiles
        for record in profile.records
        if not _is_borrowed(record, profile)
    }
    for profile in profiles:
        for record in profile.records:
            if not (_is_borrowed(record, profile) and record.cell in at_home):
                yield record


def _in_order(records: Mapping[Cell, Record]) -> list[Record]:
    """A variant after the other, each from its shortest length on, as a sweep has them."""
    order = {label: number for number, label in enumerate({cell.label: None for cell in records})}
    return sorted(records.values(), key=lambda each: (order[each.cell.label], each.cell.seq))


def _is_borrowed(record: Record, profile: Profile) -> bool:
    shard = profile.shard
    return shard is not None and shard.borrowed and record.cell == shard.sentinel


def _refusal(apart: Sequence[Difference], number: int) -> str:
    listed = "; ".join(
        f"{item.what}: {item.old[:60]} against {item.new[:60]}" for item in apart[:4]
    )
    more = f"; and {len(apart) - 4} more" if len(apart) > 4 else ""
    return f"cannot merge the profiles 1 and {number}: {listed}{more}"


def _joined(one: Record, other: Record) -> Record:
    """Both records of a cell; a run that is in both is one run."""
    best, rest = sorted((one, other), key=lambda record: RANKS[record.status])
    warnings = tuple(dict.fromkeys((*best.warnings, *rest.warnings)))
    if rest.failure is not None and best.failure is None:
        warnings += (f"in another of the merged profiles: {rest.failure.reason}",)
    runs = (*one.runs, *(run for run in other.runs if run not in one.runs))
    return replace(
        best,
        cost=best.cost or rest.cost,
        needs_bytes=best.needs_bytes or rest.needs_bytes,
        memory=best.memory or (None if best.failure else rest.memory),
        masked_flops=rest.masked_flops if best.masked_flops is None else best.masked_flops,
        runs=best.runs if best.failure else runs,
        kernels=tuple(dict.fromkeys((*best.kernels, *rest.kernels))),
        warnings=warnings,
    )
