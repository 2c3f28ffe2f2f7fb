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
    texts = [
        (units.clean(worker.name), units.clean(worker.place), worker.command)
        for worker in fleet.workers
    ]
    rows = [Row(cells=tuple(map(Text, row))) for row in texts]
    cells = f"{units.number(fleet.cells, 'cell')} in all; " if fleet.cells is not None else ""
    return Group(Grid(COLUMNS, rows), Text(f"{cells}profiles go to {fleet.folder}", "dim"))


def profiles(by_path: Mapping[Path, Profile]) -> tuple[FleetProfile, ...]:
    return tuple(
        FleetProfile(
            path=str(path),
            machine=profile.machine.words,
            cells=len(profile.records),
            runs=sum(len(record.runs) for record in profile.records),
            finished=profile.finished,
        )
        for path, profile in by_path.items()
    )
