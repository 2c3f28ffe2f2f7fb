"""Saved files by name: a path, `2026-11-23-210401-linformer`, `@1` for the newest, `ref:NAME`.

Names are the stems of files. What was saved lies in the user's data folder, what is shipped in
`profiles/` and `profiles/evaluations/`, at the top of a checkout and inside the package of a wheel.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from effattn_cli import files, store
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Evaluation
from effattn_cli.records import Profile
from effattn_cli.store import EVALUATION, PROFILE, Format

SUFFIX = ".yaml"
REFERENCE = "ref:"


#: Of each kind of file: the command that makes one, and what helps to find one.
HELP = {
    "profile": ("effattn profile", "effattn profiles lists them"),
    "evaluation": ("effattn evaluate", "effattn evaluate makes one"),
}


def read(name: str) -> Profile:
    """The profile that `name` stands for.

    Raises:
        UsageError: there is none, several begin so, or it cannot be read.
    """
    return store.read(find(name))


def read_evaluation(name: str) -> Evaluation:
    """The evaluation that `name` stands for.

    Raises:
        UsageError: there is none, several begin so, or it cannot be read.
    """
    return store.read_evaluation(find(name, EVALUATION))


def expanded(names: Iterable[str]) -> list[str]:
    """The names, and in place of a folder those of the profiles in it, by their files.

    A folder does not hide a saved profile of its name, unless it is typed as a path: `name/`.

    Raises:
        UsageError: there is no profile in a folder.
    """
    listed: list[str] = []
    for name in names:
        listed += _in_folder(Path(name)) if _is_folder(name) else [name]
    return listed


def _is_folder(name: str) -> bool:
    try:
        there = bool(name) and Path(name).is_dir()
    except (OSError, ValueError):  # too long for a path, say
        return False
    return there and (os.sep in name or not any(each.startswith(name) for each in saved()))


def _in_folder(folder: Path) -> list[str]:
    there = [str(path) for path in _files(folder).values() if store.is_profile(path)]
    if not there:
        raise UsageError(f"there is no profile in the folder {_shown(str(folder))}")
    return there


def find(name: str, form: Format[Any] = PROFILE) -> Path:
    """The file of the profile that `name` stands for, or of what else `form` is of.

    Raises:
        UsageError: there is none of that name, or several begin so.
    """
    if _exists(name):
        return Path(name)
    if name.startswith("@"):
        return _by_age(name, form)
    if name.startswith(REFERENCE):
        return _by_name(name, references(form), form)
    return _by_name(name, saved(form), form)


def _exists(name: str) -> bool:
    """Whether it is a path; a folder of that name does not hide a file of that name."""
    path = Path(name)
    try:
        return path.is_file() or (os.sep in name and path.exists())
    except (OSError, ValueError):  # too long for a path, say
        return False


def saved(form: Format[Any] = PROFILE) -> dict[str, Path]:
    """The files in the user's data folder, by name."""
    return _files(files.saved_folder(form.folder))


def references(form: Format[Any] = PROFILE) -> dict[str, Path]:
    """The files that are shipped with effattn, by name."""
    package = Path(__file__).parent
    inside = package / form.shipped
    folder = inside if inside.is_dir() else package.parent / form.shipped
    return _files(folder, REFERENCE)


def newest(form: Format[Any] = PROFILE) -> dict[str, Path]:
    """The saved files from the newest on: `@1`, `@2`, ...; none that is broken."""
    there, ages = saved(form), {}
    for name, path in there.items():
        with suppress(UsageError):  # the listing shows it, with the reason
            ages[name] = store.created(path, form)
    return {name: there[name] for name in sorted(ages, key=lambda n: (ages[n], n), reverse=True)}


def _files(folder: Path, before: str = "") -> dict[str, Path]:
    try:
        paths = sorted(folder.glob(f"*{SUFFIX}"))
    except OSError as error:
        raise UsageError(f"cannot read {str(folder)!r}: {error.strerror or error}") from error
    return {before + path.stem: path for path in paths if not path.name.startswith(".")}


def _by_age(name: str, form: Format[Any]) -> Path:
    order = list(newest(form).values())
    number = int(name[1:]) if re.fullmatch("@[0-9]{1,9}", name) else 0
    if not order:
        raise UsageError(f"no {form.noun} {_shown(name)}: none is saved yet", HELP[form.noun][0])
    if not 1 <= number <= len(order):
        last = f"@1 is the newest, @{len(order)} the oldest"
        raise UsageError(f"no {form.noun} {_shown(name)}: {last}", HELP[form.noun][1])
    return order[number - 1]


def _by_name(name: str, there: dict[str, Path], form: Format[Any]) -> Path:
    if name in there:
        return there[name]
    matches = [other for other in there if name and other.startswith(name)]
    if len(matches) == 1:
        return there[matches[0]]
    if matches:
        they = f"they are {', '.join(matches[:3])}{' and others' if len(matches) > 3 else ''}"
        raise UsageError(f"{len(matches)} {form.noun}s begin with {_shown(name)}", they)
    near = _nearest(name, [*references(form), *there])
    hint = f"did you mean {near!r}?" if near else None
    if os.sep in name or name.endswith(SUFFIX):
        raise UsageError(f"cannot read {name!r}: there is no such file", hint)
    raise UsageError(f"no {form.noun} {_shown(name)}", hint or HELP[form.noun][1])


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
