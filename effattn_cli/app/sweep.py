"""A sweep from what was asked for to the profile that holds it: plan, measure, save."""

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from msgspec.structs import replace

from effattn_cli import files, library, store, units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.cost.roofline_checks import raised
from effattn_cli.app import Note
from effattn_cli.app.named_profiles import unless_there
from effattn_cli.catalog import Catalog
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.host import processor
from effattn_cli.machine import Machine
from effattn_cli.plan import config_file, shards
from effattn_cli.plan.cells import plan
from effattn_cli.plan.config_of_cells import options_of
from effattn_cli.plan.request import joined, merged, sampling
from effattn_cli.plan.sweep_plan import Plan
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
    again: str | None = None
    save_config: Path | None = None
    reuse: bool = False
    force: bool = False
    shard: str | None = None  # the part of the sweep that is wanted

    @property
    def plugins(self) -> tuple[str, ...]:
        return tuple(self.flags.get("plugin") or ())


class Interrupted(KeyboardInterrupt):
    """The sweep was stopped; what was measured is in the file at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


def planned(order: Order, launcher: Launcher, note: Note, *, elsewhere: bool = False) -> Profile:
    """A new profile with every cell of the request, none measured yet; `elsewhere`: on devices that
    need not be here.
    """
    from_file = from_config(order) if order.config else {}
    request = merged(order.flags, from_file)
    catalog = Catalog(request.plugin)
    wanted = plan(request, catalog, processor.cores())  # what is wrong shows before torch loads
    how = sampling(request)
    part = shards.parse(order.shard) if order.shard is not None else None
    if order.out is not None:
        files.check(order.out)
        refuse_replacing(order)
    if order.save_config is not None:
        save_config(order, joined(order.flags, from_file))
    places = ("auto",) if elsewhere else wanted.devices
    here, devices = machine(launcher, places, wanted.engines)
    if elsewhere:
        devices |= {name: name for name in wanted.devices if name != "auto"}
    wanted = wanted.placed(devices)
    if part is not None:
        wanted = shards.sharded(wanted, part, how)
    for line in wanted.notes:
        note(line)
    return unmeasured(wanted, replace(a_profile(here), sampling=how), catalog, note)


def unmeasured(wanted: Plan, profile: Profile, catalog: Catalog, note: Note) -> Profile:
    """The profile with the cells of a plan, none measured yet, and what is known of the machine."""
    settings = {cell.setting for cell in wanted.cells}
    for line in _thread_notes(settings):
        note(line)
    names = {cell.variant for cell in wanted.cells}
    kept = kept_rooflines.kept(profile.machine)
    needed = {utilisation.of(setting, kept) for setting in settings}
    return replace(
        profile,
        baseline=wanted.baseline,
        variants={name: catalog.variant(name) for name in sorted(names)},
        records=tuple(Record(cell=cell) for cell in wanted.cells),
        models=wanted.models,
        shard=wanted.shard,
        rooflines=tuple(roofline for roofline in kept if roofline in needed),
    )


def save_config(order: Order, options: Mapping[str, Any]) -> None:
    """Writes options where the order says, as `--config` reads them.

    Raises:
        UsageError: there is a file, and it is not to be replaced.
    """
    assert order.save_config is not None
    files.check(order.save_config)
    unless_there(order.save_config, force=order.force)
    files.replace(order.save_config, config_file.written(options).encode())


def from_config(order: Order) -> dict[str, Any]:
    """The options of a config file, or those that plan the cells of a profile."""
    assert order.config is not None
    path = order.config
    if not path.exists() and str(path).startswith(("@", library.REFERENCE)):
        path = library.find(str(path))
    if store.is_profile(path):
        return options_of(store.read(path), Catalog(order.plugins))
    return config_file.from_file(path)


def measured(
    profile: Profile, path: Path, context: RunContext, only: Collection[Cell] | None = None
) -> Profile:
    """The sweep, or `only` these of its cells, measured; `context` saves it to `path`.

    Raises:
        Interrupted: by the user; what was measured is saved.
    """
    context.saver.write(profile)  # before any work: a path that cannot be written is said at once
    try:
        result = Scheduler(profile, context, only).run()
    except KeyboardInterrupt:
        raise Interrupted(path) from None
    higher = raised(result)
    if higher != result.rooflines:
        result = replace(result, rooflines=higher)
        context.saver.write(result)
        with suppress(files.CannotWrite):  # it is for the next sweep
            kept_rooflines.keep_raised(result)
    return result


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
    profile: Profile, launcher: Launcher, watch: Watch, only: Collection[Cell] | None = None
) -> tuple[Profile, dict[Cell, float | None]]:
    """The profile with its costs counted, and the seconds that a call of each cell is expected to
    take.
    """
    context = RunContext.of(profile.sampling, launcher, Unsaved(), watch)
    scheduler = Scheduler(profile, context, only)
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
        command=" ".join([*_variables(), "effattn", *sys.argv[1:]]),
        machine=here,
        sampling=Sampling(),
        baseline=None,
        variants={},
        records=(),
    )


def _variables() -> Iterator[str]:
    """Options that came from the environment, as a shell has them before a command."""
    for name, value in sorted(os.environ.items()):
        if re.fullmatch("EFFATTN_(PROFILE|CROSSOVER)_[A-Z_]+", name) and value:
            yield f"{name}={shlex.quote(value)}"


def refuse_replacing(order: Order) -> None:
    if order.out is not None:
        hint = "--resume finishes it, --force replaces it"
        unless_there(order.out, force=order.force, hint=hint)


def machine(
    launcher: Launcher, devices: Iterable[str], engines: Iterable[str] = ()
) -> tuple[Machine, dict[str, str]]:
    """What the numbers are true for, and what each name of a device stands for here.

    Raises:
        UsageError: a device is unknown or was not found.
    """
    names = tuple(devices)
    request = DescribeMachine(device=",".join(names), engines=tuple(engines))
    reply = launcher.run(Job(request=request))
    if not reply.answers:
        raise NothingMeasured("the measuring process ended while it looked at the machine")
    answer = outcome.decoded(reply.answers[0], Described)
    if not isinstance(answer, Described):
        raise UsageError(answer.message, answer.hint)
    return answer.machine, dict(zip(names, answer.devices, strict=True))
