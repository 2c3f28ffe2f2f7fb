"""The plugin registry: which variants there are, what they say of themselves, and their classes.

Names come from file names, cards and options from the source text: nothing is imported, and torch
is not needed, until `load`. Sources are the bundled folder, files and folders that the user names,
and installed packages with entry points in the group `effattn.variants`.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effattn_cli import variants
from effattn_cli.errors import EffattnError, UsageError, unknown
from effattn_cli.records import Card, Option, SurveyRow, Variant

if TYPE_CHECKING:
    from effattn_cli.attention import Attention

RECORDS = {"Card": Card, "SurveyRow": SurveyRow}


class BrokenPlugin(EffattnError):
    """A plugin file that cannot be read as a variant."""

    exit_code = 2


@dataclass(frozen=True)
class Source:
    """A file that holds a variant."""

    name: str
    path: Path
    origin: str = "bundled"

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


class Catalog:
    """The variants of all sources, by name."""

    def __init__(self, plugins: Sequence[Path] = ()) -> None:
        self._sources: dict[str, Source] = {}
        for source in (*_bundled(), *_installed(), *(s for p in plugins for s in _named(p))):
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
        return describe(self.source(name))


def bundled_names() -> list[str]:
    return sorted(source.name for source in _bundled())


def load(name: str, path: Path | None = None) -> "type[Attention]":
    """The class of a bundled variant, or of the plugin in the file `path`. Imports torch."""
    from effattn_cli.attention import Attention  # noqa: PLC0415

    module = _import(name, path)
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Attention)
        and item.__module__ == module.__name__
    ]
    if len(classes) != 1:
        found = ", ".join(item.__name__ for item in classes) or "none"
        raise BrokenPlugin(f"variant {name!r} must hold one Attention class, found: {found}")
    return classes[0]


def _import(name: str, path: Path | None) -> Any:
    stem = name.replace("-", "_")
    if path is None or path.parent in (Path(folder) for folder in variants.__path__):
        return importlib.import_module(f"effattn_cli.variants.{stem}")
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
            yield Source(path.stem.replace("_", "-"), path, origin)


def _named(path: Path) -> Iterator[Source]:
    """The variants in a file or folder that the user named."""
    if path.is_dir():
        yield from _folder(path, str(path))
    elif path.is_file():
        yield Source(path.stem.replace("_", "-"), path, str(path))
    else:
        raise UsageError(f"there is no plugin file or folder {str(path)!r}")


def _installed() -> Iterator[Source]:
    """Installed packages' entry points: the file behind each, found without importing it."""
    from importlib.metadata import entry_points  # noqa: PLC0415

    for entry in entry_points(group="effattn.variants"):
        spec = importlib.util.find_spec(entry.module.partition(".")[0])
        folders = list(spec.submodule_search_locations or []) if spec else []
        inner = entry.module.split(".")[1:]
        candidates = [Path(folder, *inner).with_suffix(".py") for folder in folders if inner]
        if spec and spec.origin and not inner:
            candidates.append(Path(spec.origin))
        for path in candidates:
            if path.is_file():
                dist = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
                yield Source(entry.name, path, dist)


def describe(source: Source) -> Variant:
    """Reads a variant's card, options and summary from its source text."""
    try:
        text = source.text
        tree = ast.parse(text)
        found = [node for node in tree.body if isinstance(node, ast.ClassDef) and _card(node)]
        if len(found) != 1:
            raise ValueError(f"expected one class with a card, found {len(found)}")
        (node,) = found
        card = _record(_card(node))
        options = tuple(_options(node))
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise BrokenPlugin(f"{source.path}: {error}") from error
    return Variant(
        name=source.name,
        summary=(ast.get_docstring(node) or "").partition("\n")[0],
        card=card,
        decode=any("Decodable" in ast.unparse(base) for base in node.bases),
        options=options,
        origin=source.origin,
        path=str(source.path),
        code=hashlib.sha256(text.encode()).hexdigest()[:12],
    )


def _card(node: ast.ClassDef) -> ast.expr | None:
    for item in node.body:
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "card":
            return item.value
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "card":
            return item.value
    return None


def _record(node: ast.expr | None) -> Any:
    """The record that a call of literals makes: Card(title="...", survey=SurveyRow(...))."""
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node) if node is not None else None
    name = ast.unparse(node.func)
    if name not in RECORDS or node.args:
        raise ValueError(f"the card holds {name}(...); literals and keywords only")
    return RECORDS[name](**{word.arg or "": _record(word.value) for word in node.keywords})


def _options(node: ast.ClassDef) -> Iterator[Option]:
    """The fields of the nested Config: name, type, default, and the text below each."""
    bodies = [c.body for c in node.body if isinstance(c, ast.ClassDef) and c.name == "Config"]
    body = bodies[0] if bodies else []
    for item, after in zip(body, [*body[1:], None], strict=False):
        if not isinstance(item, ast.AnnAssign):
            continue
        told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        yield Option(
            name=ast.unparse(item.target),
            type=ast.unparse(item.annotation),
            default=ast.literal_eval(item.value) if item.value is not None else None,
            help=str(after.value.value) if told else "",  # type: ignore[union-attr]
        )
