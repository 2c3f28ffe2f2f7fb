"""Where a sweep can run: each target is a file of this package, of the name that `--on` takes.

A target is a module with one function; it imports what it needs when it is asked for a target:

    target(rest, folder, shards)    the target that `NAME:rest` stands for

`folder` is one of this run, for files that a target keeps; `shards` is how many there are where the
sweep goes on, else None. Packages announce more by entry points in the group `effattn.targets`.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

from effattn_cli.errors import UsageError, unknown
from effattn_cli.remote.errands import Errand, Run

GROUP = "effattn.targets"


class Target(Protocol):
    names: tuple[str, ...]  # of what measures: hosts, or shards
    whole: bool  # whether each measures the whole sweep: they are different machines

    def places(self) -> Mapping[str, str]:
        """What is there, in a few words, for each name; nothing is started.

        Raises:
            UsageError: one cannot be reached, or is of no use.
        """
        ...

    def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
        """Has each errand carried out by what has its name.

        Raises:
            EffattnError: it cannot.
        """
        ...


class _Module(Protocol):
    def target(self, rest: str, folder: Path, shards: int | None) -> Target: ...


def find(text: str, folder: Path, shards: int | None = None) -> Target:
    """The target that is typed as `NAME` or `NAME:rest`.

    Raises:
        UsageError: there is none of that name, it lacks its extra, or its rest cannot be read.
    """
    name, _, rest = text.partition(":")
    modules = dict(_modules())
    if name not in modules:
        hint = unknown("target", name, modules).hint
        raise UsageError(f"--on: unknown target {name[:60]!r}", hint)
    module = cast("_Module", importlib.import_module(modules[name]))
    return module.target(rest, folder, shards)


def needs(package: str, target: str) -> UsageError:
    """What is said where a target's extra is not installed."""
    why = f"--on {target}: {package} is not installed"
    return UsageError(why, f"pip install 'effattn[{target}]'")


def shard_names(count: int) -> tuple[str, ...]:
    return tuple(f"shard {number}/{count}" for number in range(1, count + 1))


def _modules() -> Iterator[tuple[str, str]]:
    """The module of each target, by the target's name."""
    from importlib import metadata  # noqa: PLC0415

    for entry in metadata.entry_points(group=GROUP):
        yield entry.name, entry.module
    for module in pkgutil.iter_modules(__path__):
        yield module.name, f"{__name__}.{module.name}"
