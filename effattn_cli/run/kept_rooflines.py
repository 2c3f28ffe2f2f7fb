"""The rooflines of this machine: measured, each in a process of its own, and kept.

They are kept in the user's data folder as a profile without records, until the machine, its torch
or its settings are others.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from effattn_cli import files, store
from effattn_cli.analysis.cost import utilisation
from effattn_cli.errors import UsageError
from effattn_cli.machine import Machine
from effattn_cli.records import Bandwidth, Profile, Roofline
from effattn_cli.run.fork_server import Job, Launcher

FILE = "devices.yaml"
#: What a roofline depends on.
SAME = (
    "cpu", "cores", "allowed_cores", "torch", "torch_build", "accelerator", "accelerator_watts",
    "driver", "environment",
)  # fmt: skip


def measure(launcher: Launcher, device: str, dtype: str, threads: int) -> tuple[Roofline, ...]:
    """The roofline, or nothing where the device cannot compute in this dtype."""
    payload = {"device": device, "dtype": dtype, "threads": threads}
    answers = launcher.run(Job(name="roofline", payload=payload)).answers
    if not answers or "roofline" not in answers[0]:
        return ()
    told = answers[0]["roofline"]
    bandwidths = tuple(Bandwidth(**item) for item in told["bandwidths"])
    return (Roofline(**(told | {"bandwidths": bandwidths})),)


def kept(machine: Machine) -> tuple[Roofline, ...]:
    """What was measured on this very machine; nothing where that was never done."""
    with suppress(UsageError):  # no file, or one that something else has written
        found = store.read(files.data_folder() / FILE)
        if all(getattr(found.machine, name) == getattr(machine, name) for name in SAME):
            return found.rooflines
    return ()


def keep(profile: Profile, found: Iterable[Roofline]) -> Profile:
    """Adds to what is kept; what was measured at the same place before is replaced."""
    profile = replace(profile, rooflines=utilisation.joined(kept(profile.machine), found))
    store.Writer(files.made(files.data_folder()) / FILE).write(profile)
    return profile
