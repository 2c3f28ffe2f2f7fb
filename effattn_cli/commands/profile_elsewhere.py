"""`effattn profile --on`: a sweep on other machines."""

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effattn_cli.app.elsewhere import Found, Ready
    from effattn_cli.app.sweep import Order
    from effattn_cli.report.documents.fleets import Fleet


def run(order: "Order", on: str, *, json: bool, dry_run: bool, quiet: bool) -> int:
    """The exit code."""
    from effattn_cli.app import elsewhere, sweep
    from effattn_cli.commands.notes import note, told
    from effattn_cli.report.console import stderr
    from effattn_cli.report.documents import kinds
    from effattn_cli.report.profile.fleet_progress import FleetProgress

    sweep.interruptible()
    ready = elsewhere.ready(order, on)
    places = ready.target.places()
    if dry_run:
        _show_plan(_fleet(ready, on, places, None), json=json)
        return 0
    command = shlex.join(["effattn", *sys.argv[1:]])
    with FleetProgress(stderr(), quiet=quiet) as progress:
        for name, place in places.items():
            progress.said(name, place)
        outcome = elsewhere.measured(ready, command, progress, note)
    again = f"effattn profile --resume {shlex.quote(str(ready.folder))} --on {shlex.quote(on)}"
    if not json:
        _show(outcome)
    for path in outcome.profiles:
        told(f"saved: {path}")
    _refuse_nothing(outcome, again)
    if json:
        print(kinds.text(_fleet(ready, on, places, outcome)))
    if outcome.lost:
        told(f"hint: {again} goes on with {', '.join(outcome.lost)}")
    return _exit_code(outcome)


def _refuse_nothing(outcome: "Found", again: str) -> None:
    """
    Raises:
        EffattnError: it was stopped, or there is no profile at all.
    """
    from effattn_cli.errors import NothingMeasured, Stopped, UsageError

    if outcome.interrupted:
        raise Stopped("interrupted; what was measured is saved", f"{again} goes on from here")
    if not outcome.profiles:
        refused = UsageError.exit_code in outcome.codes.values()
        names = ", ".join(outcome.codes)
        raise (UsageError if refused else NothingMeasured)(f"nothing was measured on {names}")


def _fleet(ready: "Ready", on: str, places: Mapping[str, str], outcome: "Found | None") -> "Fleet":
    from effattn_cli.report.documents.fleets import Fleet, FleetWorker
    from effattn_cli.report.profile import fleet_view

    return Fleet(
        target=on,
        folder=str(ready.folder),
        cells=ready.cells,
        workers=tuple(
            FleetWorker(
                name=name,
                place=place,
                command=shlex.join(["effattn", *ready.words(name)]),
                exit_code=outcome.codes[name] if outcome else None,
            )
            for name, place in places.items()
        ),
        profiles=fleet_view.profiles(outcome.profiles) if outcome else (),
    )


def _show_plan(fleet: "Fleet", *, json: bool) -> None:
    from effattn_cli.report.console import stdout
    from effattn_cli.report.documents import kinds
    from effattn_cli.report.profile import fleet_view

    if json:
        print(kinds.text(fleet))
    else:
        stdout().print(fleet_view.planned(fleet), highlight=False)


def _show(outcome: "Found") -> None:
    from effattn_cli.report.console import print_profile

    for path, profile in outcome.profiles.items():
        if outcome.interrupted and not any(record.runs for record in profile.records):
            continue
        if len(outcome.profiles) > 1:
            print(f"{path.stem}: {profile.machine.words}\n")
        print_profile(profile)
        print()


def _exit_code(outcome: "Found") -> int:
    from effattn_cli.commands import exit_codes

    records = [record for profile in outcome.profiles.values() for record in profile.records]
    measured = any(record.status == "measured" for record in records)
    code = exit_codes.of((record.failure for record in records), measured=measured)
    surprising = any(code != 0 for code in outcome.codes.values())  # one was lost, or refused
    return code or (exit_codes.SURPRISES if surprising else 0)
