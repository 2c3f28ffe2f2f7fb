"""Profiles joined: the shards of a sweep, or more rounds of it; those of each machine in one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from effattn_cli import files, library, store, units
from effattn_cli.analysis.compare.merging import merge, missing, refuse_apart
from effattn_cli.analysis.compare.sentinels import Unequal, unequal
from effattn_cli.app import Note
from effattn_cli.app.named_profiles import by_machine, unless_there
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile

Named = Mapping[str, Profile]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be joined, and where it is written."""

    profiles: Sequence[str]  # names, and folders
    out: str  # a file, or a folder for a file of each machine
    command: str
    force: bool = False
    ignore_sentinel: bool = False

    @property
    def into_folder(self) -> bool:
        return self.out.endswith("/") or Path(self.out).is_dir()


def merged(order: Order, note: Note) -> dict[Path, Profile]:
    """What was written, by file: nothing, or all of it.

    Raises:
        UsageError: the profiles do not belong together, or a file is there already.
    """
    profiles = {name: library.read(name) for name in library.expanded(order.profiles)}
    groups = by_machine(profiles) if order.into_folder else [profiles]
    joined = [_joined(group, order, note) for group in groups]
    if not order.into_folder:
        found = {Path(order.out): joined[0]}
    else:
        folder = files.made(Path(order.out))
        found = {folder / f"{name}.yaml": one for name, one in _by_name(joined)}
    with ExitStack() as locks:
        for path in found:
            locks.enter_context(files.locked(path))
            unless_there(path, force=order.force)
        for path, profile in found.items():
            store.Writer(path).write(profile)
    return found


def _joined(profiles: Named, order: Order, note: Note) -> Profile:
    refuse_apart([*profiles.values()])  # between machines the sentinel says nothing
    apart = unequal(profiles)
    if apart and not order.ignore_sentinel:
        hint = "measure it there again, or merge them all the same with --ignore-sentinel"
        raise UsageError(f"cannot merge: {_words(apart[0])}{_more(apart)}", hint)
    for one in apart:
        note(_words(one))
        profiles = {**profiles, one.other: _marked(profiles[one.other], one)}
    for lack in missing(profiles.values()):
        note(lack)
    return merge([*profiles.values()], order.command)


def _words(one: Unequal) -> str:
    where = f"{one.sentinel.label} at {units.length(one.sentinel.seq)}"
    first, other = (units.seconds(seconds) for seconds in (one.change.old, one.change.new))
    return (
        f"the sentinel ({where}) took {first} in {one.first} and {other} in {one.other}:"
        " their machines were not equally fast"
    )


def _more(apart: Sequence[Unequal]) -> str:
    return f" (so it is in {len(apart) - 1} more)" if len(apart) > 1 else ""


def _marked(profile: Profile, one: Unequal) -> Profile:
    """With a warning at each record that its machine was faster or slower than the others."""
    ratio = one.change.ratio
    warning = f"its machine took {ratio:.2g} times as long for the sentinel as the first shard's"
    return replace(
        profile,
        records=tuple(replace(r, warnings=(*r.warnings, warning)) for r in profile.records),
    )


def _by_name(profiles: Sequence[Profile]) -> Iterator[tuple[str, Profile]]:
    """Each with the name of its machine, the oldest first; a name that is taken gets a number."""
    taken: dict[str, int] = {}
    for profile in sorted(profiles, key=lambda each: each.created):
        name = profile.machine.name
        taken[name] = number = taken.get(name, 0) + 1
        yield name if number == 1 else f"{name}-{number}", profile
