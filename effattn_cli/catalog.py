"""The plugin registry: which variants there are, what they say of themselves, and their classes.

Names come from file names, cards and options from the source text: nothing is imported, and torch
is not needed, until `load`. Sources are the bundled folder, files and folders that the user names,
and installed packages with entry points in the group `effattn.variants`. A variant is a class, or a
function under the decorator `variant`; both come out as a class.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from effattn_cli import declared, variants
from effattn_cli.cards import Variant
from effattn_cli.errors import EffattnError, UsageError, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from effattn_cli.attention import Attention, Layer

    LayerT = TypeVar("LayerT", bound=Layer)


class BrokenPlugin(EffattnError):
    """A plugin file that cannot be read as a variant."""

    exit_code = 2


@dataclass(frozen=True)
class Source:
    """A file that holds a variant."""

    name: str
    path: Path
    origin: str = "bundled"
    module: str | None = None  # how an installed package knows it

    @property
    def plugin(self) -> Path | None:
        """The path to load it from; None for a bundled one, which is known by its name."""
        return None if self.origin == "bundled" else self.path


class Catalog:
    """The variants of all sources, by name."""

    def __init__(self, plugins: Sequence[Path] = ()) -> None:
        self._sources: dict[str, Source] = {}
        self._variants: dict[str, Variant] = {}
        for source in (*_bundled(), *installed(), *(s for p in plugins for s in _named(p))):
            self._add(source)

    def _add(self, source: Source) -> None:
        other = self._sources.get(source.name)
        if other is not None and other.path.resolve() != source.path.resolve():
            raise UsageError(
                f"two variants are named {source.name!r}: {other.path} and {source.path}",
                "rename one of the files",
            )
        self._sources[source.name] = source

    def names(self) -> list[str]:
        return sorted(self._sources)

    def source(self, name: str) -> Source:
        if name not in self._sources:
            raise unknown("variant", name, self._sources)
        return self._sources[name]

    def variant(self, name: str) -> Variant:
        """What the source says of the variant, read without importing it.

        Raises:
            UsageError: there is no such variant.
            BrokenPlugin: its source cannot be read; the message says why.
        """
        source = self.source(name)
        if name not in self._variants:
            self._variants[name] = describe(source)
        return self._variants[name]


def name_of(path: Path) -> str:
    """The variant in the file `linear_transformer.py` is `linear-transformer`."""
    return path.stem.replace("_", "-")


def bundled_names() -> list[str]:
    return sorted(source.name for source in _bundled())


@overload
def load(name: str, path: Path | None = None) -> "type[Attention]": ...
@overload
def load(name: str, path: Path | None = None, *, kind: "type[LayerT]") -> "type[LayerT]": ...
def load(name: str, path: Path | None = None, *, kind: Any = None) -> Any:
    """The class of a bundled variant, or of the plugin in the file `path`. Imports torch.

    `kind` is Attention unless it is given: FeedForward, or Layer for either.
    """
    from effattn_cli.attention import Attention, FeedForward, Layer  # noqa: PLC0415

    module = _import(name, path)
    types = [item for item in vars(module).values() if isinstance(item, type)]
    own = [item for item in types if item.__module__ == module.__name__]
    classes = [item for item in own if issubclass(item, Layer)]
    if len(classes) != 1:
        names = ", ".join(item.__name__ for item in classes) or "none"
        raise BrokenPlugin(f"variant {name!r} must hold one variant, found: {names}")
    if issubclass(classes[0], FeedForward) != (classes[0].card.kind == "feed-forward"):
        raise BrokenPlugin(f"{name!r}: a FeedForward, and no other, has the kind 'feed-forward'")
    wanted = kind or Attention
    if not issubclass(classes[0], wanted):
        raise BrokenPlugin(f"{name!r} is no {wanted.__name__}")
    return classes[0]


def _import(name: str, path: Path | None) -> Any:
    stem = name.replace("-", "_")
    if path is None or path.parent in (Path(folder) for folder in variants.__path__):
        return importlib.import_module(f"effattn_cli.variants.{stem}")
    for source in installed():
        if source.module and source.path == path:  # its imports may be relative to its package
            return importlib.import_module(source.module)
    module_name = f"effattn_plugin_{stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BrokenPlugin(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def _bundled() -> Iterator[Source]:
    for folder in variants.__path__:
        yield from _folder(Path(folder), "bundled")


def _folder(folder: Path, origin: str) -> Iterator[Source]:
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_"):
            yield Source(name_of(path), path, origin)


def _named(path: Path) -> Iterator[Source]:
    """The variants in a file or folder that the user named."""
    if path.is_dir():
        yield from _folder(path, str(path))
    elif path.is_file():
        yield Source(name_of(path), path, str(path))
    else:
        raise UsageError(f"there is no plugin file or folder {str(path)!r}")


@cache
def installed() -> tuple[Source, ...]:
    """Installed packages' entry points: the file behind each, found without importing it."""
    from importlib import metadata  # noqa: PLC0415

    return tuple(map(_entry, metadata.entry_points(group="effattn.variants")))


def _entry(entry: "EntryPoint") -> Source:
    top, *inner = entry.module.split(".")
    spec = importlib.util.find_spec(top)
    folders = list(spec.submodule_search_locations or []) if spec else []
    candidates = [Path(folder, *inner).with_suffix(".py") for folder in folders if inner]
    if spec and spec.origin and not inner:
        candidates.append(Path(spec.origin))
    missing = Path(top, *inner).with_suffix(".py")  # what cannot be read is listed as broken
    path = next(filter(Path.is_file, candidates), missing)
    origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    return Source(entry.name, path, origin, entry.module)


def describe(source: Source) -> Variant:
    """Reads a variant's card, options and summary from its source text."""
    try:
        text = source.path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        node, card = declared.variant(tree)
        options = tuple(declared.options(node))
    except (OSError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise BrokenPlugin(f"{source.path}: {error}") from error
    bundled = source.origin == "bundled"  # a profile is no place for where it was installed
    return Variant(
        name=source.name,
        summary=(ast.get_docstring(node) or "").partition("\n")[0],
        card=card,
        # A feed-forward keeps nothing between tokens.
        decode=card.kind == "feed-forward" or declared.decodes(node.name, tree),
        options=options,
        origin=source.origin,
        path=f"variants/{source.path.name}" if bundled else str(source.path),
        code=declared.code(text),
    )
