"""A sweep on other machines: from an order to profiles in a folder, one of each machine.

While it runs, `parts/` in the folder holds what each host or shard has measured so far, and what it
takes to go on; it is gone as soon as nothing is left to measure.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from effattn_cli import files, library, store, targets
from effattn_cli.app import Note, merging
from effattn_cli.app.carried import Carried, carried
from effattn_cli.app.supervisor import Supervisor, Watch, Worker
from effattn_cli.app.sweep import Order, from_config, save_config
from effattn_cli.catalog import Catalog
from effattn_cli.errors import Stopped, UsageError
from effattn_cli.host import processor
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import joined, merged, sampling
from effattn_cli.records import Profile
from effattn_cli.targets import Target

PARTS, SWEEP = "parts", "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A sweep that can be begun, or gone on with."""

    folder: Path
    target: Target
    sweep: Carried
    cells: int | None  # of the whole sweep; None where it goes on

    @property
    def parts(self) -> Path:
        return self.folder / PARTS

    def words(self, name: str) -> tuple[str, ...]:
        """The command that `name` runs, without the files that go along."""
        return self._worker(name).errand().words

    def workers(self) -> dict[str, Worker]:
        return {name: self._worker(name) for name in self.target.names}

    def _worker(self, name: str) -> Worker:
        number = None if self.target.whole else self.target.names.index(name) + 1
        part = self.parts / f"{file_name(name)}.yaml"

        def errand() -> Any:
            there = part.read_bytes() if _is_profile(part) else None
            return self.sweep.errand(number, there)

        return Worker(name, part, errand)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a sweep."""

    profiles: Mapping[Path, Profile]
    codes: Mapping[str, int | None]  # of each host or shard; None: given up

    @property
    def lost(self) -> list[str]:
        return [name for name, code in self.codes.items() if code is None]

    @property
    def interrupted(self) -> bool:
        return Stopped.exit_code in self.codes.values()


def file_name(name: str) -> str:
    """What a host or a shard is called in a folder: `shard-1-of-8`."""
    words = name.replace("/", "-of-").replace(" ", "-")
    return "".join(letter if letter.isalnum() or letter in "-._@" else "-" for letter in words)


def ready(order: Order, on: str) -> Ready:
    """What is to be done, checked as far as this machine can; nothing is written.

    Raises:
        UsageError: the order asks for what is not there, or for what is only done here.
    """
    _refuse_local(order)
    if order.resume is not None:
        return _resumed(order, on)
    options = joined(order.flags, from_config(order) if order.config else {})
    request = merged(options, {})
    cells = plan(request, Catalog(request.plugin), processor.cores()).cells
    sampling(request)
    folder = order.out or _new_folder(on)
    _refuse_folder(folder, force=order.force)
    target = targets.find(on, folder / PARTS)
    if order.save_config is not None:
        save_config(order, options)
    sweep = carried(options, None if target.whole else len(target.names))
    return Ready(folder=folder, target=target, sweep=sweep, cells=len(cells))


def _refuse_local(order: Order) -> None:
    hints = {
        "again": "--config FILE takes the sweep of a profile",
        "reuse": None,
        "shard": "--on slurm:shards=8 measures all of them",
    }
    for word, hint in hints.items():
        if getattr(order, word):
            raise UsageError(f"--{word} is for a sweep on this machine, not with --on", hint)


def _refuse_folder(folder: Path, *, force: bool) -> None:
    hint = "with --on, -o names a folder; --force replaces the profiles in it"
    if folder.suffix in {".yaml", ".yml"} and not folder.is_dir():
        raise UsageError(f"-o {folder}: a sweep elsewhere is saved as a folder of profiles", hint)
    if (folder / PARTS).exists() and not force:
        why = f"{str(folder)!r} holds a sweep that is not finished"
        raise UsageError(why, f"--resume {folder} finishes it, --force begins anew")
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not force):
        raise UsageError(f"{str(folder)!r} already exists", hint)


def _resumed(order: Order, on: str) -> Ready:
    """The sweep of a folder, as it was begun."""
    beside = [*order.flags, *(["out"] if order.out else []), *(["config"] if order.config else [])]
    if beside:
        word = beside[0].replace("_", "-")
        raise UsageError(f"--resume goes on with the sweep of a folder, --{word} cannot be given")
    folder = Path(str(order.resume))
    if not (folder / PARTS / SWEEP).is_file():
        hint = "with --on, --resume takes the folder of a sweep that was begun with --on"
        raise UsageError(f"{str(folder)!r} holds no sweep to go on with", hint)
    sweep = Carried.saved(folder / PARTS / SWEEP)
    target = targets.find(on, folder / PARTS, sweep.shards)
    if target.whole and sweep.shards is not None:
        raise UsageError(f"--on {on}: the sweep runs in shards, which this target does not take")
    if not target.whole and sweep.shards is None:
        raise UsageError(f"--on {on}: the sweep was begun whole on each machine")
    return Ready(folder=folder, target=target, sweep=sweep, cells=None)


def _new_folder(on: str) -> Path:
    """One in the user's data folder that is not there yet, named after the time and the target."""
    now = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    return files.data_folder() / "fleets" / f"{now}-{on.partition(':')[0]}"


def measured(sweep: Ready, command: str, watch: Watch, note: Note) -> Found:
    """The profiles of all machines, whole or as far as they came, in the folder of the sweep.

    Raises:
        EffattnError: nothing could be begun.
    """
    with _held(sweep):
        codes = Supervisor(sweep.target, sweep.workers(), watch).run()
        parts = {n: w.part for n, w in sweep.workers().items() if _is_profile(w.part)}
        profiles = _results(sweep, parts, command, note)
        others = set(sweep.parts.glob("*.yaml")) - set(parts.values())  # of hosts not named now
        if not others and all(code not in (None, Stopped.exit_code) for code in codes.values()):
            shutil.rmtree(sweep.parts, ignore_errors=True)  # a job may still write its last line
    return Found(profiles=profiles, codes=codes)


@contextmanager
def _held(sweep: Ready) -> Iterator[None]:
    """The folder, for this process alone."""
    if sweep.cells is not None and sweep.parts.exists():  # it begins anew
        shutil.rmtree(sweep.parts)
    files.made(sweep.parts)
    with files.locked(sweep.parts / SWEEP) as path:
        sweep.sweep.save(path)
        yield


def _is_profile(part: Path) -> bool:
    """Whether there is one that can be read, if only in part."""
    if not part.is_file():
        return False
    try:
        store.read(part)
    except UsageError:
        return False
    return True


def _results(
    sweep: Ready, parts: Mapping[str, Path], command: str, note: Note
) -> dict[Path, Profile]:
    if not parts:
        return {}
    if not sweep.target.whole:
        order = merging.Order(
            profiles=[str(part) for part in parts.values()],
            out=f"{sweep.folder}/",
            command=command,
            force=True,
        )
        try:
            return merging.merged(order, note)
        except UsageError as error:
            note(f"{error}; the shards stay side by side")
    profiles = {}
    for name, part in parts.items():
        profile = replace(library.read(str(part)), command=command)
        path = sweep.folder / f"{file_name(name)}.yaml"
        store.Writer(path).write(profile)
        profiles[path] = profile
    return profiles
