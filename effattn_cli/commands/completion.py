"""Shell completion: names from file names, without importing what they name."""

from collections.abc import Iterable


def variant_names(incomplete: str) -> Iterable[str]:
    """Completes the last of a comma list: `linformer,lo` to `linformer,longformer`."""
    from effattn_cli.catalog import Catalog

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in Catalog().names() if name.startswith(last)]


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
