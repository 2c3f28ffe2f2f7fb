"""Saved profiles by name: a path, `2026-11-23-210401-linformer`, `@1` for the newest, `ref:NAME`.

Names are the stems of files. Saved profiles lie in the user's data folder, reference profiles in
`profiles/`, which is at the top of a checkout and inside the package of a wheel.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from effattn_cli import files, store
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile

SUFFIX = ".yaml"
REFERENCE = "ref:"


def read(name: str) -> Profile:
    """The profile that `name` stands for.

    Raises:
        UsageError: there is none, several begin so, or it cannot be read.
    """
    return store.read(find(name))


def find(name: str) -> Path:
    """The file of the profile that `name` stands for.

    Raises:
        UsageError: there is none of that name, or several begin so.
    """
    if _exists(name):
        return Path(name)
    if name.startswith("@"):
        return _by_age(name)
    if name.startswith(REFERENCE):
        return _by_name(name, references())
    return _by_name(name, saved())


def _exists(name: str) -> bool:
    """Whether it is a path; a folder of that name does not hide a profile of that name."""
    path = Path(name)
    try:
        return path.is_file() or (os.sep in name and path.exists())
    except (OSError, ValueError):  # too long for a path, say
        return False


def saved() -> dict[str, Path]:
    """The profiles in the user's data folder, by name."""
    return _profiles(files.saved_folder())


def references() -> dict[str, Path]:
    """The profiles that are shipped with effattn, by name."""
    package = Path(__file__).parent
    inside = package / "profiles"
    folder = inside if inside.is_dir() else package.parent / "profiles"
    return _profiles(folder, REFERENCE)


def newest() -> dict[str, Path]:
    """The saved profiles from the newest on: `@1`, `@2`, ...; none that is broken."""
    profiles, ages = saved(), {}
    for name, path in profiles.items():
        with suppress(UsageError):  # the listing shows it, with the reason
            ages[name] = store.created(path)
    return {name: profiles[name] for name in sorted(ages, key=lambda n: (ages[n], n), reverse=True)}


def _profiles(folder: Path, before: str = "") -> dict[str, Path]:
    try:
        paths = sorted(folder.glob(f"*{SUFFIX}"))
    except OSError as error:
        raise UsageError(f"cannot read {str(folder)!r}: {error.strerror or error}") from error
    return {before + path.stem: path for path in paths if not path.name.startswith(".")}


def _by_age(name: str) -> Path:
    order = list(newest().values())
    number = int(name[1:]) if re.fullmatch("@[0-9]{1,9}", name) else 0
    if not order:
        raise UsageError(f"no profile {_shown(name)}: none is saved yet", "effattn profile")
    if not 1 <= number <= len(order):
        last = f"@1 is the newest, @{len(order)} the oldest"
        raise UsageError(f"no profile {_shown(name)}: {last}", "effattn profiles lists them")
    return order[number - 1]


def _by_name(name: str, profiles: dict[str, Path]) -> Path:
    if name in profiles:
        return profiles[name]
    matches = [other for other in profiles if name and other.startswith(name)]
    if len(matches) == 1:
        return profiles[matches[0]]
    if matches:
        they = f"they are {', '.join(matches[:3])}{' and others' if len(matches) > 3 else ''}"
        raise UsageError(f"{len(matches)} profiles begin with {_shown(name)}", they)
    near = _nearest(name, [*references(), *profiles])
    hint = f"did you mean {near!r}?" if near else None
    if os.sep in name or name.endswith(SUFFIX):
        raise UsageError(f"cannot read {name!r}: there is no such file", hint)
    raise UsageError(f"no profile {_shown(name)}", hint or "effattn profiles lists them")


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """The one that begins most like `name`, or that has a word like it; the last of several."""
    wanted = name.removesuffix(SUFFIX).rpartition(os.sep)[2][:100]
    pieces = {
        piece: other
        for other in names
        if wanted
        for piece in (other, other[: len(wanted)], *other.removeprefix(REFERENCE).split("-"))
    }
    near = get_close_matches(wanted, pieces, n=1, cutoff=0.6)
    return pieces[near[0]] if near else None


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
