"""Shell completion: names from file names, without importing what they name."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effattn_cli.cards import Option
    from effattn_cli.catalog import Catalog
    from effattn_cli.store import Format


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
    if name == "family":
        return [family for family in _families(catalog) if family.startswith(typed)]
    if name not in catalog.names():
        return []
    options = catalog.variant(name).options
    names = [f"{option.name}=" for option in options if f"{option.name}=".startswith(typed)]
    values = [f"{one.name}={word}" for one in options for word in _values(one)]
    return names if len(names) > 1 else [word for word in values if word.startswith(typed)]


def _values(option: "Option") -> list[str]:
    """Those that can be listed; of a number the usual one, and its double."""
    from effattn_cli.plan.option_values import spellings

    usual = option.default
    if isinstance(usual, bool) or not isinstance(usual, int | float):
        return spellings(option)
    return spellings(option) or [str(usual), str(2 * usual)]


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


def engine_words(incomplete: str) -> Iterable[str]:
    """Engines, the last of a comma list."""
    from effattn_cli.engine_names import modules

    return words_of([*modules()])(incomplete)


def model_names(incomplete: str) -> Iterable[str]:
    """Known models; files are the shell's to complete."""
    from effattn_cli.models.presets import configs

    return [name for name in configs() if name.startswith(incomplete)]


def profile_names(incomplete: str) -> Iterable[str]:
    """Saved and reference profiles; their files are the shell's to complete."""
    from effattn_cli import store

    return _saved_names(store.PROFILE, incomplete)


def evaluation_names(incomplete: str) -> Iterable[str]:
    """Saved and reference evaluations; their files are the shell's to complete."""
    from effattn_cli import store

    return _saved_names(store.EVALUATION, incomplete)


def _saved_names(form: "Format[Any]", incomplete: str) -> Iterable[str]:
    from effattn_cli import library

    saved = library.saved(form)
    names = [*saved, *library.references(form)]
    if incomplete.startswith("@"):
        names = [f"@{number}" for number in range(1, len(saved) + 1)]
    return [name for name in names if name.startswith(incomplete)]


def task_names(incomplete: str) -> Iterable[str]:
    """What `evaluate --task` takes."""
    from effattn_cli.app.evaluating import TASKS

    return words_of([*TASKS])(incomplete)


def regime_names(incomplete: str) -> Iterable[str]:
    """What `evaluate --regime` takes."""
    from effattn_cli.evaluate.regimes import REGIMES

    return words_of([*REGIMES, "all"])(incomplete)
