"""Where variants come from: the bundled folder, what the user names, installed packages.

The user names a file, a folder, or a class: `file.py:Class`, `package.module:Class`. Packages
announce theirs by entry points in the group `effattn.variants`. No file is imported to find it.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from effattn_cli import ends, variants
from effattn_cli.errors import EffattnError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class BrokenPlugin(EffattnError):
    """A plugin file that cannot be read as a variant."""

    exit_code = 2


@dataclass(frozen=True)
class Source:
    """A file that holds a variant."""

    name: str
    path: Path
    origin: str = "bundled"
    module: str | None = None  # under which it is imported; None: by its path
    class_name: str | None = None  # of several in the file, or of a plain module

    @property
    def plugin(self) -> str | None:
        """What to load it by; None for a bundled one, which is known by its name."""
        if self.origin == "bundled":
            return None
        if self.class_name is None:
            return str(self.path)
        return f"{self.module or self.path}:{self.class_name}"


def bundled() -> Iterator[Source]:
    for folder in variants.__path__:
        yield from _folder(Path(folder), "bundled")


@cache
def model_parts() -> dict[str, Source]:
    """What is measured like a variant and is none, by name."""
    sources = _folder(Path(ends.__file__).parent, "bundled")
    return {
        source.name: replace(source, module=f"{ends.__name__}.{source.path.stem}")
        for source in sources
    }


def bundled_names() -> list[str]:
    return sorted(source.name for source in bundled())


def named(plugin: str) -> list[Source]:
    """The variants that the user means by a file, a folder, or a class in a file or a module.

    Raises:
        UsageError: there is no such file, folder or module.
    """
    path = Path(plugin)
    if path.is_dir():
        return list(_folder(path, plugin))
    if path.is_file():
        return [Source(name_of(path), path, plugin)]
    place, colon, class_name = plugin.rpartition(":")
    if not colon or not class_name.isidentifier():
        hint = "a file, a folder, or a class: mixer.py:Mixer, package.module:Mixer"
        raise UsageError(f"there is no plugin file or folder {plugin!r}", hint)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).replace("_", "-").lower()
    if Path(place).is_file():
        return [Source(name, Path(place), plugin, class_name=class_name)]
    file = file_of(place)
    if file is None:
        path_hint = "python -c 'import sys; print(sys.path)' shows where modules are looked for"
        raise UsageError(f"--plugin {plugin}: there is no module {place!r}", path_hint)
    return [Source(name, file, plugin, place, class_name)]


@cache
def installed() -> tuple[Source, ...]:
    """Installed packages' entry points: the file behind each, found without importing it."""
    from importlib import metadata  # noqa: PLC0415

    return tuple(map(_entry, metadata.entry_points(group="effattn.variants")))


def file_of(module: str) -> Path | None:
    """The file of a module, found as an import would find it, and not imported."""
    folders: list[str] = sys.path
    whole, spec = "", None
    for part in module.split("."):
        whole = f"{whole}.{part}".lstrip(".")
        spec = PathFinder.find_spec(whole, folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin else None


def absolute(plugin: str | None) -> str | None:
    """The same for a process that runs in another folder."""
    if plugin is None:
        return None
    place, colon, class_name = plugin.rpartition(":")
    for path, rest in ((plugin, ""), (place, colon + class_name)):
        if path and Path(path).exists():
            return f"{Path(path).absolute()}{rest}"
    return plugin


def name_of(path: Path) -> str:
    """The variant in the file `linear_transformer.py` is `linear-transformer`."""
    return path.stem.replace("_", "-")


def _folder(folder: Path, origin: str) -> Iterator[Source]:
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_"):
            yield Source(name_of(path), path, origin)


def _entry(entry: "EntryPoint") -> Source:
    missing = Path(*entry.module.split(".")).with_suffix(".py")  # is listed as broken
    path = file_of(entry.module) or missing
    origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    return Source(entry.name, path, origin, entry.module)
