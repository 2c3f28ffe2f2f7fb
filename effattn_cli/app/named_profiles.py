"""Profiles that a user has named; of a shipped one it is said where it is true."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from effattn_cli import library
from effattn_cli.analysis.completeness import lacks
from effattn_cli.app import Note
from effattn_cli.errors import UsageError
from effattn_cli.host import processor
from effattn_cli.machine import differences
from effattn_cli.records import Profile
from effattn_cli.units import clean, number

NEWEST = 8  # saved profiles that are looked at, where nobody names one


def read(name: str, note: Note) -> Profile:
    """The profile that `name` stands for; what it lacks is told.

    Raises:
        UsageError: there is none, several begin so, or it cannot be read.
    """
    profile = read_to_show(name, note)
    if missing := lacks(profile):
        note(f"{name}: {missing}")
    return profile


def read_to_show(name: str, note: Note) -> Profile:
    """The same for a view that says itself what the profile lacks.

    Raises:
        UsageError: as `read`.
    """
    profile = library.read(name)
    if name.startswith(library.REFERENCE) and (where := elsewhere(profile)):
        note(f"{name} was measured on {where}")
    return profile


def newest(refuse: Callable[[Profile], object]) -> tuple[dict[str, Profile], UsageError | None]:
    """The newest saved profiles that are of use, all of the newest one's machine, by name; and what
    was wrong with the first that is not. `refuse` raises UsageError for one that is of no use.
    """
    kept: dict[str, Profile] = {}
    first: UsageError | None = None
    for name in list(library.newest())[:NEWEST]:
        try:
            profile = library.read(name)
            refuse(profile)
        except UsageError as error:
            first = first or error
            continue
        newest_one = next(iter(kept.values()), profile)
        if profile.records and not differences(profile.machine, newest_one.machine, "hardware"):
            kept[name] = profile
    return kept, first


def elsewhere(profile: Profile) -> str:
    """`another machine: ...; this one is ...`; nothing where it is this one."""
    there = _words(profile.machine.cpu, profile.machine.cores)
    here = _words(processor.model(), processor.cores())
    gpu = f", {clean(profile.machine.accelerator)}" if profile.machine.accelerator else ""
    return "" if there == here else f"another machine: {there}{gpu}; this one is {here}"


def by_machine(
    profiles: Mapping[str, Profile], kind: Literal["hardware"] | None = None
) -> list[dict[str, Profile]]:
    """Those between whose machines nothing differs, or no hardware, together."""
    groups: list[dict[str, Profile]] = []
    for name, profile in profiles.items():
        alike = (
            group
            for group in groups
            if not differences(next(iter(group.values())).machine, profile.machine, kind)
        )
        mine = next(alike, None)
        if mine is None:
            groups.append(mine := {})
        mine[name] = profile
    return groups


def single(names: Sequence[str], what: str) -> str:
    """The one name there is.

    Raises:
        UsageError: there are several, of which `what` takes one only.
    """
    if len(names) > 1:
        hint = f"name one: {names[0]}; or effattn merge those of one machine"
        raise UsageError(f"{what} takes one profile, and these are {len(names)}", hint)
    return names[0]


def changeable(name: str) -> Path:
    """The file of a saved profile that is the user's own.

    Raises:
        UsageError: there is none of that name, or it is shipped with effattn.
    """
    if name.startswith(library.REFERENCE):
        hint = f"effattn merge OUT.yaml {name} makes a copy"
        raise UsageError(f"{name} is shipped with effattn and stays as it is", hint)
    return library.find(name)


def unless_there(path: Path, *, force: bool, hint: str = "--force replaces it") -> None:
    """Nothing is lost by a name that is taken.

    Raises:
        UsageError: there is a file, and it is not to be replaced.
    """
    if path.exists() and not force:
        raise UsageError(f"{str(path)!r} already exists", hint)


def _words(cpu: str, cores: int) -> str:
    return f"{cpu}, {number(cores, 'core')}"
