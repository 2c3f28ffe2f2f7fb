"""The rooflines of this machine's devices: measured once and cached."""

from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from msgspec.structs import replace

from effattn_cli.analysis.cost.roofline_checks import checked
from effattn_cli.app.sweep import a_profile, machine
from effattn_cli.records import Profile
from effattn_cli.run import kept_rooflines
from effattn_cli.run.fork_server import Launcher
from effattn_cli.setting import AXES, Dtype

DTYPES = [dtype for dtype in get_args(Dtype) if dtype in {"float32", "bfloat16"}]


def measured(
    launcher: Launcher, devices: str, progress: Callable[[int, int], None], *, refresh: bool
) -> Profile:
    """This machine with the rooflines of its devices, in each dtype, with one thread and all.

    `progress` is called with the number of the roofline that is measured next, and of all.
    """
    here, names = machine(launcher, AXES["device"].read(devices, "--device"))
    profile = a_profile(here)
    kept = () if refresh else kept_rooflines.kept(here)
    there = {(roofline.device, roofline.dtype, roofline.threads) for roofline in kept}
    missing = [p for p in _places(names.values(), here.cores) if p not in there]
    for number, (device, dtype, threads) in enumerate(missing, start=1):
        progress(number, len(missing))
        kept = (*kept, *kept_rooflines.measure(launcher, device, dtype, threads))
    if missing:
        return kept_rooflines.keep(profile, checked(kept))
    return replace(profile, rooflines=kept)


def _places(devices: Iterable[str], cores: int) -> Iterator[tuple[str, Dtype, int]]:
    for device in dict.fromkeys(devices):
        counts = {1, cores} if device == "cpu" else {cores}
        for dtype in DTYPES:
            for threads in sorted(counts, reverse=True):
                yield device, dtype, threads
