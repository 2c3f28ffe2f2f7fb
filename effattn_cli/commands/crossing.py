"""The course of `effattn crossover`: read a profile, or measure what pins the crossovers down."""

import signal
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from effattn_cli import files, store
from effattn_cli.app import named_profiles
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.records import Profile
from effattn_cli.report import charts, crossover_view, terminal_chart
from effattn_cli.report.console import stdout

USUAL = {"seq": "256..64k", "time_budget": "60s"}


def run(asked: Mapping[str, Any]) -> int:
    """Everything that `effattn crossover` does; gives its exit code."""
    own = {name: value for name, value in asked.items() if name not in {"profile", "chart"}}
    name, live = asked["profile"], any(value not in (None, False) for value in _measuring(own))
    if (name is not None) == live:
        hint = "effattn crossover PROFILE, or effattn crossover -v linformer"
        why = "these options measure anew" if live else "nothing to look at"
        raise UsageError(f"name a saved profile, or a variant to measure: {why}", hint)
    profile = named_profiles.profile(name) if name is not None else _hunted(own)
    if asked["json"]:
        print(crossover_view.as_json(profile))
        return 0
    console = stdout()
    console.print(crossover_view.table(profile), highlight=False)
    terminal_chart.show(charts.of_profile(profile), console, asked=asked["chart"])
    return 0


def _measuring(own: Mapping[str, Any]) -> list[Any]:
    """The options that make sense only where something is measured."""
    return [value for name, value in own.items() if name not in {"json", "quiet"}]


def _hunted(own: Mapping[str, Any]) -> Profile:
    from effattn_cli.app.sweep import Wishes, interrupt, planned, refuse_replacing
    from effattn_cli.report.profile.progress import Progress
    from effattn_cli.run.context import Rig
    from effattn_cli.run.crossover_search import Hunt
    from effattn_cli.run.fork_server import ForkServer

    given = {name: value for name, value in own.items() if value is not None}
    wishes = Wishes.of(USUAL | given)
    signal.signal(signal.SIGTERM, interrupt)
    with ForkServer() as server:
        wanted = planned(wishes, server)
        if wanted.baseline is None:
            raise UsageError("--baseline none leaves nothing to cross")
        if {record.cell.label for record in wanted.records} == {wanted.baseline}:
            hint = "effattn crossover -v linformer"
            raise UsageError(f"nothing but the baseline {wanted.baseline!r} is named", hint)
        path = wishes.out or files.new_path(wanted)
        progress = Progress(Console(stderr=True), quiet=wishes.quiet)
        with files.locked(path), progress:
            refuse_replacing(wishes)
            rig = Rig.of(wanted.sampling, server, store.Writer(path).write, progress)
            found = Hunt(wanted, rig).run()
    if not any(record.rounds for record in found.records):
        raise NothingMeasured("nothing could be measured within the limits")
    print(f"saved: {path}", file=sys.stderr)
    _note_missing(wanted, found)
    return found


def _note_missing(wanted: Profile, found: Profile) -> None:
    """The variants of which no length could be measured."""
    there = {record.cell.label for record in found.records if record.rounds}
    labels = dict.fromkeys(record.cell.label for record in wanted.records)
    if missing := [label for label in labels if label not in there]:
        why = "not within the limits; --time-budget gives more time"
        print(f"note: not measured: {', '.join(missing)}: {why}", file=sys.stderr)
