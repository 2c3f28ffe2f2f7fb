"""The course of `effattn profile`: plan, measure, save, and say what was found."""

import shlex
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from effattn_cli import files, store
from effattn_cli.analysis.cost import utilisation
from effattn_cli.app.named_profiles import changeable, unless_there
from effattn_cli.catalog import Catalog
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.machine import Machine
from effattn_cli.plan import request as requests
from effattn_cli.plan.cells import plan
from effattn_cli.records import EXPECTED, Profile, Record, Sampling
from effattn_cli.report.console import print_profile, stdout
from effattn_cli.report.profile import dry_run
from effattn_cli.report.profile.progress import Progress
from effattn_cli.run import kept_rooflines
from effattn_cli.run.context import Rig
from effattn_cli.run.fork_server import ForkServer, Job, Launcher
from effattn_cli.run.scheduler import Runner

SURPRISES = 3  # exit code: finished, but a cell failed in a way that nobody expects


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asked for: `flags` says what to measure, the rest how to answer."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    config: Path | None = None
    out: Path | None = None
    resume: str | None = None
    force: bool = False
    json: bool = False
    dry_run: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Wishes":
        """From the parameters of the command, those that were not given being None."""
        own = {item.name for item in fields(cls)} & set(asked)
        flags = {name: asked[name] for name in asked if name not in own and asked[name] is not None}
        lists = {name: tuple(value) for name, value in flags.items() if isinstance(value, list)}
        return cls(flags=flags | lists, **{name: asked[name] for name in own})


def run(wishes: Wishes) -> int:
    """Everything that `effattn profile` does; gives its exit code."""
    signal.signal(signal.SIGTERM, interrupt)
    with ForkServer() as server:
        before = None if wishes.resume is None else changeable(wishes.resume)
        profile = planned(wishes, server) if before is None else _resumed(wishes, before)
        progress = Progress(Console(stderr=True), quiet=wishes.quiet)
        if wishes.dry_run:
            _show_plan(profile, server, progress)
            return 0
        path = before or wishes.out or files.new_path(profile)
        with files.locked(path), progress:
            refuse_replacing(wishes)  # another run may have finished it meanwhile
            plugins = wishes.flags.get("plugin", ())
            profile = _measure(profile, server, store.Writer(path), progress, plugins)
    if wishes.json:
        print(store.as_json(profile))
    else:
        print_profile(profile)
    print(f"saved: {path}", file=sys.stderr)
    return _exit_code(profile)


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _measure(
    profile: Profile,
    server: Launcher,
    writer: store.Writer,
    progress: Progress,
    plugins: Iterable[str],
) -> Profile:
    writer.write(profile)  # before any work: a path that cannot be written is said at once
    try:
        return Runner(profile, Rig.of(profile.sampling, server, writer.write, progress)).run()
    except KeyboardInterrupt:
        again = ["effattn", "profile", "--resume", str(writer.path)]
        again += [word for plugin in plugins for word in ("--plugin", plugin)]
        hint = f"hint: {shlex.join(again)} goes on from here"
        print(f"interrupted; what was measured is saved\n{hint}", file=sys.stderr)
        raise


def _show_plan(profile: Profile, server: Launcher, progress: Progress) -> None:
    runner = Runner(profile, Rig.of(profile.sampling, server, lambda _: None, progress))
    counted = runner.count()
    seconds = {record.cell: runner.outlook.seconds(record) for record in counted.records}
    stdout().print(dry_run.table(counted, seconds))


def _exit_code(profile: Profile) -> int:
    statuses = {record.status for record in profile.records}
    surprises = [r for r in profile.records if r.failure and r.failure.reason not in EXPECTED]
    if "measured" not in statuses:
        return NothingMeasured.exit_code
    return SURPRISES if surprises else 0


def planned(wishes: Wishes, server: Launcher) -> Profile:
    """A new profile with every cell of the request, none measured yet."""
    request = requests.merged(
        wishes.flags, requests.from_file(wishes.config) if wishes.config else {}
    )
    catalog = Catalog([Path(item) for item in request.plugin])
    named = [word.strip() for word in request.device.split(",")]
    plan(request, catalog, devices=named, cores=1)  # what is wrong shows before torch loads
    sampling = requests.sampling(request)
    if wishes.out is not None and not wishes.dry_run:
        files.check(wishes.out)
        refuse_replacing(wishes)
    here, devices = machine(server, request.device)
    planned = plan(request, catalog, devices=devices, cores=here.cores)
    for note in planned.notes:
        print(f"note: {note}", file=sys.stderr)
    names = {cell.variant for cell in planned.cells}
    kept = kept_rooflines.kept(here)
    places = {utilisation.of(cell, kept) for cell in planned.cells}
    return replace(
        a_profile(here),
        sampling=sampling,
        baseline=planned.baseline,
        variants={name: catalog.variant(name) for name in sorted(names)},
        records=tuple(Record(cell=cell) for cell in planned.cells),
        rooflines=tuple(place for place in places if place is not None),
    )


def a_profile(here: Machine) -> Profile:
    """One that holds nothing yet."""
    return Profile(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=" ".join(["effattn", *sys.argv[1:]]),
        machine=here,
        sampling=Sampling(),
        baseline=None,
        variants={},
        records=(),
    )


def refuse_replacing(wishes: Wishes) -> None:
    if wishes.out is not None:
        hint = "--resume finishes it, --force replaces it"
        unless_there(wishes.out, force=wishes.force, hint=hint)


def machine(server: Launcher, device: str) -> tuple[Machine, list[str]]:
    """What the numbers are true for, and the devices that `device` names.

    Raises:
        UsageError: a device is unknown or not here.
    """
    reply = server.run(Job(name="machine", payload={"device": device}))
    told = reply.answers[0] if reply.answers else {}
    if "failure" in told:
        raise UsageError(told["failure"]["message"], told["failure"].get("hint"))
    if not told:
        raise NothingMeasured("the measuring process ended while it looked at the machine")
    return Machine(**told["machine"]), told["devices"]


def _resumed(wishes: Wishes, path: Path) -> Profile:
    """The profile to finish; the sweep is the one in the file.

    The code is never taken from a place that the file names: it may come from a stranger.
    """
    changes = [name for name in wishes.flags if name != "plugin"]
    if changes or wishes.out or wishes.config:
        word = next(iter(changes), "out" if wishes.out else "config").replace("_", "-")
        raise UsageError(f"--resume takes the sweep from the file, --{word} cannot change it")
    profile = store.read(path)
    catalog = Catalog([Path(item) for item in wishes.flags.get("plugin", ())])
    variants = {}
    for name, known in profile.variants.items():
        if name not in catalog.names():
            hint = "--plugin says where it is" if known.plugin else None
            raise UsageError(f"cannot resume: there is no variant {name!r}", hint)
        variants[name] = catalog.variant(name)
        if variants[name].code != known.code:
            raise UsageError(
                f"cannot resume: the code of {name!r} has changed since", "measure it anew"
            )
    return replace(profile, variants=variants)
