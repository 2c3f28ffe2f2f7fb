"""A sweep from what was asked for to the profile that holds it: plan, measure, save."""

import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from msgspec.structs import replace

from effattn_cli import files, store, units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.app import Note
from effattn_cli.app.named_profiles import changeable, unless_there
from effattn_cli.catalog import Catalog
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.host import processor
from effattn_cli.machine import Machine
from effattn_cli.plan import config_file
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged, sampling
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.run import kept_rooflines, outcome
from effattn_cli.run.context import RunContext, Unsaved
from effattn_cli.run.events import Step
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Described, DescribeMachine, Job
from effattn_cli.run.scheduler import Scheduler
from effattn_cli.setting import Setting

Watch = Callable[[Step], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asked for: options of the sweep, and where it is saved."""

    flags: Mapping[str, Any] = field(default_factory=dict)  # those that were given
    config: Path | None = None
    out: Path | None = None
    resume: str | None = None
    force: bool = False

    @property
    def plugins(self) -> tuple[str, ...]:
        return tuple(self.flags.get("plugin") or ())


class Interrupted(KeyboardInterrupt):
    """The sweep was stopped; what was measured is in the file at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


def prepared(order: Order, launcher: Launcher, note: Note) -> tuple[Profile, Path | None]:
    """The profile of the sweep, with what is known of it already; and its file, if it has one."""
    if order.resume is None:
        return planned(order, launcher, note), None
    path = changeable(order.resume)
    return _resumed(order, path), path


def planned(order: Order, launcher: Launcher, note: Note, *, elsewhere: bool = False) -> Profile:
    """A new profile with every cell of the request, none measured yet; `elsewhere`: on devices that
    need not be here.
    """
    from_config = config_file.from_file(order.config) if order.config else {}
    request = merged(order.flags, from_config)
    catalog = Catalog(request.plugin)
    wanted = plan(request, catalog, processor.cores())  # what is wrong shows before torch loads
    how = sampling(request)
    if order.out is not None:
        files.check(order.out)
        refuse_replacing(order)
    here, devices = machine(launcher, ("auto",) if elsewhere else wanted.devices)
    if elsewhere:
        devices |= {name: name for name in wanted.devices if name != "auto"}
    wanted = wanted.placed(devices)
    settings = {cell.setting for cell in wanted.cells}
    for line in (*wanted.notes, *_thread_notes(settings)):
        note(line)
    names = {cell.variant for cell in wanted.cells}
    kept = kept_rooflines.kept(here)
    needed = {utilisation.of(setting, kept) for setting in settings}
    return replace(
        a_profile(here),
        sampling=how,
        baseline=wanted.baseline,
        variants={name: catalog.variant(name) for name in sorted(names)},
        records=tuple(Record(cell=cell) for cell in wanted.cells),
        models=wanted.models,
        rooflines=tuple(roofline for roofline in kept if roofline in needed),
    )


def measured(profile: Profile, path: Path, context: RunContext) -> Profile:
    """The sweep, measured; `context` saves it to `path`.

    Raises:
        Interrupted: by the user; what was measured is saved.
    """
    context.saver.write(profile)  # before any work: a path that cannot be written is said at once
    try:
        return Scheduler(profile, context).run()
    except KeyboardInterrupt:
        raise Interrupted(path) from None


@contextmanager
def destination(order: Order, profile: Profile, before: Path | None = None) -> Iterator[Path]:
    """Where the sweep is saved, held for this process alone; `before` is the file that it has."""
    named = before or order.out
    with files.locked(named) if named else files.locked_new(profile) as path:
        refuse_replacing(order)  # another run may have finished it meanwhile
        yield path


def _thread_notes(settings: Collection[Setting]) -> Iterator[str]:
    """What a reader would not expect of the threads that are measured with."""
    counts, cores = sorted({setting.threads for setting in settings}), processor.cores()
    asked = processor.threads_asked_for()
    if asked is not None and asked[1] not in counts:
        name, number = asked
        used = f"the sweep has --threads {','.join(map(str, counts))}"
        yield f"{name} is {number}, but {used}; --threads {number} would follow it"
    if counts[-1] > cores:
        yield f"{counts[-1]} threads share {units.number(cores, 'core')} and wait for one another"


def dry_run(
    profile: Profile, launcher: Launcher, watch: Watch
) -> tuple[Profile, dict[Cell, float | None]]:
    """The profile with its costs counted, and the seconds that a call of each cell is expected to
    take.
    """
    scheduler = Scheduler(profile, RunContext.of(profile.sampling, launcher, Unsaved(), watch))
    counted = scheduler.count()
    return counted, {record.cell: scheduler.state.seconds(record) for record in counted.records}


def interruptible() -> None:
    """A sweep that is told to end saves what it has, as if Ctrl-C had been pressed."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


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


def refuse_replacing(order: Order) -> None:
    if order.out is not None:
        hint = "--resume finishes it, --force replaces it"
        unless_there(order.out, force=order.force, hint=hint)


def machine(launcher: Launcher, devices: Iterable[str]) -> tuple[Machine, dict[str, str]]:
    """What the numbers are true for, and what each name of a device stands for here.

    Raises:
        UsageError: a device is unknown or not here.
    """
    names = tuple(devices)
    reply = launcher.run(Job(request=DescribeMachine(device=",".join(names))))
    if not reply.answers:
        raise NothingMeasured("the measuring process ended while it looked at the machine")
    answer = outcome.decoded(reply.answers[0], Described)
    if not isinstance(answer, Described):
        raise UsageError(answer.message, answer.hint)
    return answer.machine, dict(zip(names, answer.devices, strict=True))


def _resumed(order: Order, path: Path) -> Profile:
    """The profile to finish; the sweep is the one in the file.

    The code is never taken from a place that the file names: it may come from a stranger.
    """
    changes = [name for name in order.flags if name != "plugin"]
    if changes or order.out or order.config:
        word = next(iter(changes), "out" if order.out else "config").replace("_", "-")
        raise UsageError(f"--resume takes the sweep from the file, --{word} cannot change it")
    profile = store.read(path)
    catalog = Catalog(order.plugins)
    variants = {}
    for name, saved in profile.variants.items():
        if name not in catalog.names():
            hint = "--plugin says where it is" if saved.plugin else None
            raise UsageError(f"cannot resume: there is no variant {name!r}", hint)
        variants[name] = catalog.variant(name)
        if variants[name].code != saved.code:
            raise UsageError(
                f"cannot resume: the code of {name!r} has changed since", "measure it anew"
            )
    return replace(profile, variants=variants, finished=False)
