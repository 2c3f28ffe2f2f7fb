"""The rooflines of this machine: measured, each in a process of its own, and kept.

They are kept in the user's data folder as a profile without records, until the machine, its torch
or its settings are others.
"""

from collections.abc import Iterable
from contextlib import suppress

from msgspec.structs import replace

from effattn_cli import files, store
from effattn_cli.analysis.cost import utilisation
from effattn_cli.errors import UsageError
from effattn_cli.machine import Machine, differences
from effattn_cli.records import Profile, Roofline, Sampling
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Job, MeasureRoofline
from effattn_cli.setting import Dtype

FILE = "devices.yaml"


def measure(launcher: Launcher, device: str, dtype: Dtype, threads: int) -> tuple[Roofline, ...]:
    """The roofline, or nothing where the device cannot compute in this dtype."""
    job = Job(request=MeasureRoofline(device=device, dtype=dtype, threads=threads))
    answer = outcome.answer(launcher.run(job), Roofline, job.timeout)
    return (answer,) if isinstance(answer, Roofline) else ()


def kept(machine: Machine) -> tuple[Roofline, ...]:
    """What was measured on this very machine; nothing where that was never done."""
    with suppress(UsageError):  # no file, or one that something else has written
        profile = store.read(files.data_folder() / FILE)
        if not differences(profile.machine, machine):
            return profile.rooflines
    return ()


def keep(profile: Profile, rooflines: Iterable[Roofline]) -> Profile:
    """Adds to what is kept; what was measured at the same place before is replaced.

    What is doubtful is not kept, but stands in the profile that is returned.
    """
    measured = tuple(rooflines)
    sound = [roofline for roofline in measured if not roofline.doubts]
    saved = utilisation.joined(kept(profile.machine), sound)
    store.Writer(files.made(files.data_folder()) / FILE).write(replace(profile, rooflines=saved))
    return replace(profile, rooflines=utilisation.joined(saved, measured))


def keep_raised(profile: Profile) -> None:
    """Raises those that are kept as the cells of a profile have raised its own."""
    mine = kept(profile.machine)
    raised = [roofline for roofline in profile.rooflines if roofline.raised]
    places = {utilisation.place(roofline) for roofline in mine}
    if better := [one for one in raised if utilisation.place(one) in places and one not in mine]:
        holder = replace(profile, sampling=Sampling(), baseline=None, variants={}, records=(),
                         scores=None, models=())  # fmt: skip
        keep(holder, better)
