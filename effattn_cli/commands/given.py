"""Profiles that a user has named; of a shipped one it is said where it is true."""

import sys

from effattn_cli import library
from effattn_cli.measure import processor
from effattn_cli.records import Profile
from effattn_cli.report import units


def profile(name: str) -> Profile:
    """The profile that `name` stands for.

    Raises:
        UsageError: there is none, several begin so, or it cannot be read.
    """
    found = library.read(name)
    if name.startswith(library.REFERENCE):
        there = _words(found.machine.cpu, found.machine.cores)
        here = _words(processor.model(), processor.cores())
        if there != here:
            note = f"{name} was measured on another machine: {there}; this one is {here}"
            print(f"note: {units.clean(note)}", file=sys.stderr)
    return found


def _words(cpu: str, cores: int) -> str:
    return f"{cpu}, {cores} core{'s' if cores != 1 else ''}"
