"""Shell completion: names from file names, without importing what they name."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effattn_cli.catalog import Catalog


def variant_names(incomplete: str) -> Iterable[str]:
    """Completes the last of a comma list: `linformer,lo` to `linformer,longformer`; behind a colon
    the options of a variant, and what they can be: `linformer:` to `linformer:rank=`.
    """
    from effattn_cli.catalog import Catalog

    catalog = Catalog()
    before, comma, last = incomplete.rpartition(",")
    owner = before.rpartition(":")[0].rpartition(",")[2] if ":" in before else ""
    name, colon, typed = last.partition(":")
    if colon:
        return [f"{before}{comma}{name}:{word}" for word in _options(catalog, name, typed)]
    names = [name for name in catalog.names() if name.startswith(last)]
    if owner:  # a comma behind an option: another one, or another variant
        names += _options(catalog, owner, last)
    return [before + comma + name for name in names]


def _options(catalog: "Catalog", name: str, typed: str) -> list[str]:
    """What an option of a variant that begins so may go on to."""
    from effattn_cli.plan.option_values import spellings

    if name == "family":
        return [family for family in _families(catalog) if family.startswith(typed)]
    if name not in catalog.names():
        return []
    options = catalog.variant(name).options
    found = [f"{option.name}=" for option in options]
    if "=" in typed:
        found = [f"{one.name}={word}" for one in options for word in spellings(one)]
    return [word for word in found if word.startswith(typed)]


def family_names(incomplete: str) -> Iterable[str]:
    """Families that variants belong to."""
    from effattn_cli.catalog import Catalog

    before, comma, last = incomplete.rpartition(",")
    families = _families(Catalog())
    return [before + comma + name for name in families if name.startswith(last)]


def _families(catalog: "Catalog") -> list[str]:
    names = {name for variant in catalog.names() for name in catalog.variant(variant).card.families}
    return sorted(names)


def words_of(words: Sequence[str]) -> Callable[[str], Iterable[str]]:
    """Completes the last of a comma list of these words."""

    def complete(incomplete: str) -> Iterable[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + word for word in words if word.startswith(last)]

    return complete


def model_names(incomplete: str) -> Iterable[str]:
    """Known models; files are the shell's to complete."""
    from effattn_cli.models.presets import configs

    return [name for name in configs() if name.startswith(incomplete)]


def profile_names(incomplete: str) -> Iterable[str]:
    """Saved and reference profiles; their files are the shell's to complete."""
    from effattn_cli import library

    names = [*library.saved(), *library.references()]
    return [name for name in names if name.startswith(incomplete)]


def evaluation_names(incomplete: str) -> Iterable[str]:
    """Saved and reference evaluations; their files are the shell's to complete."""
    from effattn_cli import library, store

    names = [*library.saved(store.EVALUATION), *library.references(store.EVALUATION)]
    return [name for name in names if name.startswith(incomplete)]
