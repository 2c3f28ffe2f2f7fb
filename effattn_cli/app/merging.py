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

NAMED = 4  # profiles in a message
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
        by_path = {Path(order.out): joined[0]}
    else:
        folder = files.made(Path(order.out))
        by_path = {folder / f"{name}.yaml": one for name, one in _by_name(joined)}
    with ExitStack() as locks:
        for path in by_path:
            locks.enter_context(files.locked(path))
            unless_there(path, force=order.force)
        for path, profile in by_path.items():
            store.Writer(path).write(profile)
    return by_path


def _joined(profiles: Named, order: Order, note: Note) -> Profile:
    refuse_apart([*profiles.values()])  # between machines the sentinel says nothing
    apart = unequal(profiles)
    if apart and not order.ignore_sentinel:
        again = f"effattn profile --again {apart[0].other} -o {apart[0].other} --force"
        hint = f"measure again: {again}; --ignore-sentinel merges them as they are"
        raise UsageError(f"cannot merge: {_words(apart)}", hint)
    if apart:
        note(_words(apart))
    for one in apart:
        profiles = {**profiles, one.other: _marked(profiles[one.other], one)}
    for lack in missing(profiles.values()):
        note(lack)
    return merge([*profiles.values()], order.command)


def _words(apart: Sequence[Unequal]) -> str:
    """What the sentinel took in the usual profile, and then where it took something else."""
    first = apart[0]
    seconds = {first.usual: first.change.old} | {one.other: one.change.new for one in apart}
    said = [f"{units.seconds(each)} in {name}" for name, each in seconds.items()]
    more = f" and other times in {len(said) - NAMED} more" if len(said) > NAMED else ""
    where = f"{first.sentinel.label} at {units.length(first.sentinel.seq)}"
    took = f"the sentinel ({where}) took {', '.join(said[:NAMED])}{more}"
    return f"{took}: the machines were not equally fast"


def _marked(profile: Profile, one: Unequal) -> Profile:
    """With a warning at each record that its machine was faster or slower than usual."""
    warning = f"the sentinel took {one.change.ratio:.2g} times as long there as in {one.usual}"
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
