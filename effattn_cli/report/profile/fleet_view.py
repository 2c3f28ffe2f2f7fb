"""What a sweep on other machines would do, and what came of it."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Group
from rich.text import Text

from effattn_cli import units
from effattn_cli.records import Profile
from effattn_cli.report.documents.fleets import Fleet, FleetProfile
from effattn_cli.report.layout import Column, Grid, Row

COLUMNS = (Column(title="where"), Column(title="what is there"), Column(title="runs", folds=1))


def planned(fleet: Fleet) -> Group:
    """What would run where."""
    rows = [
        Row(cells=(Text(units.clean(each.name)), Text(units.clean(each.place)), Text(each.command)))
        for each in fleet.workers
    ]
    cells = f"{units.number(fleet.cells, 'cell')} in all; " if fleet.cells is not None else ""
    return Group(Grid(COLUMNS, rows), Text(f"{cells}profiles go to {fleet.folder}", "dim"))


def profiles(found: Mapping[Path, Profile]) -> tuple[FleetProfile, ...]:
    return tuple(
        FleetProfile(
            path=str(path),
            machine=profile.machine.words,
            cells=len(profile.records),
            runs=sum(len(record.runs) for record in profile.records),
            finished=profile.finished,
        )
        for path, profile in found.items()
    )
