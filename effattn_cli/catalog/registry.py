"""The variants of all sources, by name, and what the source text of each says."""

import ast
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike, fspath

from effattn_cli import declared
from effattn_cli.cards import RENAMED, Variant
from effattn_cli.catalog.sources import BrokenPlugin, Source, bundled, installed, model_parts, named
from effattn_cli.errors import UsageError, unknown


class Catalog:
    """The variants of all sources, by name."""

    def __init__(self, plugins: Sequence[str | PathLike[str]] = ()) -> None:
        self._sources: dict[str, Source] = {}
        self._variants: dict[str, Variant] = {}
        for source in (*bundled(), *installed()):
            self._add(source)
        for plugin in plugins:
            for source in named(fspath(plugin)):
                self._add(source)

    def _add(self, source: Source) -> None:
        other = self._sources.get(RENAMED.get(source.name, source.name))
        if other is not None and other.path.resolve() != source.path.resolve():
            raise UsageError(
                f"two variants are named {source.name!r}: {other.path} and {source.path}",
                "rename one of the files",
            )
        self._sources[source.name] = source

    def names(self) -> list[str]:
        return sorted(self._sources)

    def source(self, name: str) -> Source:
        """Where the variant is, by its name or by one that it had earlier.

        Raises:
            UsageError: there is no such variant.
        """
        name = RENAMED.get(name, name)
        if name in model_parts():
            return model_parts()[name]
        if name not in self._sources:
            raise unknown("variant", name, self._sources, self._synonyms())
        return self._sources[name]

    def _synonyms(self) -> dict[str, str]:
        """Other names of the variants whose source can be read, each with the name here."""
        synonyms: dict[str, str] = {}
        for name in self.names():
            with suppress(BrokenPlugin):
                synonyms |= dict.fromkeys(self.variant(name).card.aliases, name)
        return synonyms

    def variant(self, name: str) -> Variant:
        """What the source says of the variant, read without importing it.

        Raises:
            UsageError: there is no such variant.
            BrokenPlugin: its source cannot be read; the message says why.
        """
        source = self.source(name)
        if source.name not in self._variants:
            self._variants[source.name] = describe(source)
        return self._variants[source.name]


def describe(source: Source) -> Variant:
    """Reads a variant's card, options and summary from its source text."""
    try:
        text = source.path.read_text(encoding="utf-8")
        said = declared.read(text, source.class_name)
    except (OSError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise BrokenPlugin(f"{source.path}: {error}") from error
    plugin = source.plugin  # a profile is no place for where a bundled one was installed
    return Variant(
        name=source.name,
        summary=(ast.get_docstring(said.node) or "").partition("\n")[0],
        card=said.card,
        decode=said.decodes,
        options=said.options,
        origin=source.origin,
        path=f"{source.path.parent.name}/{source.path.name}" if plugin is None else plugin,
        code=declared.code(text),
        plain=said.plain,
    )
