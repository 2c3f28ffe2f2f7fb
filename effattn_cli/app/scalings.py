"""How FLOPs and memory of many variants grow: counted where that is not kept from before."""

from collections.abc import Callable, Iterable
from importlib.metadata import version

from effattn_cli import __version__
from effattn_cli.analysis.cost.scaling import Scaling
from effattn_cli.cards import Variant
from effattn_cli.run import kept_scaling
from effattn_cli.run.fork_server import Launcher


def counted(
    variants: Iterable[Variant],
    launcher: Launcher,
    progress: Callable[[int, int, str], None],
) -> dict[str, Scaling | None]:
    """By the name of the variant; None where it cannot be counted.

    `progress` is called with the number of the variant that is counted next, of all, and its name.
    """
    every = list(variants)
    kept = kept_scaling.Kept.read(f"effattn {__version__}, torch {version('torch')}")
    by_name = {variant.name: kept.find(variant) for variant in every}
    missing = [variant for variant in every if by_name[variant.name] is None]
    for number, variant in enumerate(missing, start=1):
        progress(number, len(missing), variant.name)
        scaling = by_name[variant.name] = kept_scaling.of(launcher, variant)
        if scaling is not None:
            kept.add(variant, scaling)
    return by_name
