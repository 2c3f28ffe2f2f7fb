"""A sweep before it is measured: a new one, one that goes on, or one that is repeated."""

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from effattn_cli import library, store
from effattn_cli.analysis.completeness import is_open
from effattn_cli.analysis.selection.filters import of_lengths, of_variants
from effattn_cli.app import Note
from effattn_cli.app.named_profiles import changeable
from effattn_cli.app.reusing import reused
from effattn_cli.app.sweep import Order, a_profile, machine, planned, save_config, unmeasured
from effattn_cli.cards import Variant
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan import shards
from effattn_cli.plan.config_of_cells import options_of
from effattn_cli.plan.request import SAMPLED, resampled
from effattn_cli.plan.sweep_plan import Plan
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.run.fork_server import Launcher

NARROWING = ("variant", "seq", "plugin")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    profile: Profile  # with what is known of it already
    path: Path | None = None  # its file, if it has one
    only: frozenset[Cell] | None = None  # the cells to be measured, where not all are


def prepared(order: Order, launcher: Launcher, note: Note) -> Prepared:
    """What is to be measured.

    Raises:
        UsageError: the order asks for what is not there, or for two things at once.
    """
    if order.resume is not None:
        return _resumed(order, changeable(order.resume))
    profile = (
        planned(order, launcher, note) if order.again is None else _repeated(order, launcher, note)
    )
    return Prepared(profile=reused(profile, note) if order.reuse else profile)


def _resumed(order: Order, path: Path) -> Prepared:
    """The profile to finish; the sweep is the one in the file.

    The code is never taken from a place that the file names: it may come from a stranger.
    """
    _refuse_changes("--resume", order, (*NARROWING, "rounds", "time_budget"))
    beside = {"out": order.out, "again": order.again, "save-config": order.save_config}
    for word in (word for word, value in (beside | {"reuse": order.reuse}).items() if value):
        raise UsageError(f"--resume goes on with its own file, --{word} cannot be given")
    profile = store.read(path)
    _refuse_another_shard(order, profile)
    sampling = resampled(profile.sampling, order.flags)
    if sampling.rounds < profile.sampling.rounds:
        there = f"the sweep has {profile.sampling.rounds} already"
        raise UsageError(f"--rounds {sampling.rounds}: {there}", "--again repeats it with fewer")
    only = frozenset(record.cell for record in _narrowed(profile, order))
    variants = _same_code(profile, Catalog(order.plugins), {cell.variant for cell in only})
    return Prepared(
        profile=replace(
            profile,
            sampling=sampling,
            variants={**profile.variants, **variants},
            records=tuple(_reopened(r) if r.cell in only else r for r in profile.records),
            finished=False,
        ),
        path=path,
        only=only,
    )


def _repeated(order: Order, launcher: Launcher, note: Note) -> Profile:
    """The sweep of a saved profile, or a part of it, with nothing measured yet."""
    _refuse_changes("--again", order, (*NARROWING, *SAMPLED))
    assert order.again is not None
    old = library.read(order.again)
    catalog = Catalog(order.plugins)
    cells = tuple(record.cell for record in _narrowed(old, order))
    sampling = resampled(old.sampling, order.flags)
    wanted = _part(Plan(cells, old.baseline, models=old.models), old, order, sampling)
    for line in wanted.notes:
        note(line)
    for name in dict.fromkeys(cell.variant for cell in wanted.cells):
        if _found(name, old.variants[name], catalog).code != old.variants[name].code:
            note(f"the code of {name!r} has changed since")
    here, _ = machine(launcher, wanted.devices, wanted.engines)
    begun = replace(a_profile(here), command=old.command, sampling=sampling)
    if order.save_config is not None:
        part = replace(old, sampling=sampling, records=tuple(Record(cell=cell) for cell in cells))
        save_config(order, options_of(part, catalog))
    return unmeasured(wanted, begun, catalog, note)


def _part(wanted: Plan, old: Profile, order: Order, sampling: Sampling) -> Plan:
    """The shard of a saved sweep that is asked for; of a profile that is one, the same one."""
    if order.shard is None or old.shard is not None:
        _refuse_another_shard(order, old)
        whole = len(wanted.cells) == len(old.records)
        return dataclasses.replace(wanted, shard=old.shard if whole else None)
    return shards.sharded(wanted, shards.parse(order.shard), sampling)


def _refuse_another_shard(order: Order, profile: Profile) -> None:
    """A profile is of one shard, or of a whole sweep.

    Raises:
        UsageError: another one is asked for.
    """
    there = profile.shard
    if order.shard is None or (
        there is not None and shards.parse(order.shard) == (there.number, there.of)
    ):
        return
    what = "a whole sweep" if there is None else f"the shard {there.words}"
    raise UsageError(f"--shard {order.shard}: the profile holds {what}", "leave --shard out")


def _refuse_changes(option: str, order: Order, allowed: Collection[str]) -> None:
    """The sweep is the saved one."""
    changes = [name for name in order.flags if name not in allowed]
    if changes or order.config:
        word = next(iter(changes), "config").replace("_", "-")
        hint = "-v and -s narrow it; --config FILE takes its options and lets others change them"
        raise UsageError(
            f"{option} continues the saved sweep; it cannot be combined with --{word}", hint
        )


def _narrowed(profile: Profile, order: Order) -> list[Record]:
    records = of_variants(profile.records, order.flags.get("variant") or (), profile.baseline)
    return of_lengths(records, order.flags.get("seq"))


def _found(name: str, saved: Variant, catalog: Catalog) -> Variant:
    if name not in catalog.names():
        hint = "--plugin says where it is" if saved.plugin else None
        raise UsageError(f"cannot go on: there is no variant {name!r}", hint)
    return catalog.variant(name)


def _same_code(profile: Profile, catalog: Catalog, names: Iterable[str]) -> dict[str, Variant]:
    """These variants as they are here.

    Raises:
        UsageError: one is not here, or its code is another one.
    """
    variants = {name: _found(name, profile.variants[name], catalog) for name in sorted(names)}
    for name, variant in variants.items():
        if variant.code != profile.variants[name].code:
            why = f"cannot resume: the code of {name!r} has changed since"
            raise UsageError(why, "--again measures it anew")
    return variants


def _reopened(record: Record) -> Record:
    """A cell that was not measured for want of time is tried again."""
    return replace(record, prediction=None, failure=None) if is_open(record) else record
