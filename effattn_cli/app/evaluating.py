"""An evaluation from what was asked for to the file that holds it."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from effattn_cli import files, library, store
from effattn_cli.app import Note, abilities
from effattn_cli.app.abilities import Asking
from effattn_cli.app.named_profiles import unless_there
from effattn_cli.app.sweep import Interrupted, machine
from effattn_cli.cards import Card
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError, unknown
from effattn_cli.evaluate import tensor_file
from effattn_cli.evaluate.regimes import regimes
from effattn_cli.evaluation import OWN, Evaluation, Evidence
from effattn_cli.host import processor
from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.plan.evaluation_request import EvaluationRequest, cores, requested
from effattn_cli.plan.lossy_choices import keepers
from effattn_cli.plan.mixers import refuse_other_shapes
from effattn_cli.plan.variant_choices import select
from effattn_cli.quantities import parse_seconds
from effattn_cli.records import Cell
from effattn_cli.run import ability_steps, fidelity_steps
from effattn_cli.run.evaluator import Done, Evaluator, Step
from effattn_cli.run.fork_server import Launcher


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asked for: options of the evaluation, and where it is saved."""

    flags: Mapping[str, Any] = field(default_factory=dict)  # those that were given
    out: Path | None = None
    resume: str | None = None
    force: bool = False

    @property
    def request(self) -> EvaluationRequest:
        return requested(self.flags)


def _fidelity(request: EvaluationRequest, catalog: Catalog, note: Note) -> tuple[Evidence, ...]:
    """What `--task fidelity` asks for."""
    choices = select(request.variant, catalog) if request.variant else keepers(catalog)
    threads = processor.cores()
    if request.qkv is None:
        cells = _swapped(cores(request, choices, catalog, threads), catalog, note)
        return fidelity_steps.wanted(cells, dict.fromkeys(regimes(request.regime)), request.draws)
    own = tensor_file.look(Path(request.qkv))
    sizes = {
        "tokens": own.tokens, "batch": own.batch, "heads": own.heads, "kv_heads": own.kv_heads,
        "head_dim": own.width,
    }  # fmt: skip
    cells = _swapped(cores(request, choices, catalog, threads, sizes), catalog, note)
    return fidelity_steps.wanted(cells, {OWN: own.hash}, 1)


#: Each task: the evidence that a request asks for, none of it found yet.
TASKS: Mapping[str, Asking] = {"fidelity": _fidelity, **abilities.TASKS}


def prepared(order: Order, launcher: Launcher, note: Note) -> tuple[Evaluation, Path | None]:
    """The evaluation, with what is known already; and its file, if it has one."""
    request = order.request
    if order.resume is None:
        records, variants = _asked(request, note)
        if order.out is not None:
            files.check(order.out)
            _refuse_replacing(order)
        here, _ = machine(launcher, ["cpu"])
        created = datetime.now(UTC).isoformat(timespec="seconds")
        command = " ".join(["effattn", *sys.argv[1:]])
        return Evaluation(
            created=created, command=command, machine=here, seed=request.seed,
            variants=variants, records=records,
        ), None  # fmt: skip
    path = library.find(order.resume, store.EVALUATION)
    return _resumed(order, store.read_evaluation(path), note), path


def _asked(request: EvaluationRequest, note: Note) -> tuple[tuple[Evidence, ...], dict[str, Any]]:
    """The evidence that is asked for, by all tasks, and the variants that it is of."""
    catalog = Catalog(request.plugin)
    records: tuple[Evidence, ...] = ()
    tasks = _tasks(request.task)
    refuse_other_shapes(request, tasks)
    for task in tasks:
        records = joined(records, TASKS[task](request, catalog, note))
    names = {record.cell.variant for record in records}
    return records, {name: catalog.variant(name) for name in sorted(names)}


def _tasks(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    for word in words:
        if word not in TASKS:
            raise unknown("task", word, TASKS)
    return words


def _swapped(cells: Sequence[Cell], catalog: Catalog, note: Note) -> tuple[Cell, ...]:
    """Those that take the weights of softmax attention as they are; of the others it is said that
    they do not, and with which options they would.
    """
    there, left = [], dict[str, None]()
    for cell in cells:
        variant, causal = catalog.variant(cell.variant), cell.setting.causal
        if variant.swap(cell.options, causal=causal, kv_heads=True) != "trained":
            there.append(cell)
        else:
            left[f"{cell.label}{_but(variant.card)}"] = None
    if left and not there:
        why = "must be trained into a model: there is no fidelity without"
        raise UsageError(f"{', '.join(left)} {why}", "-v sliding-window,performer, say")
    if left:
        note(f"left out, as they must be trained: {', '.join(left)}")
    return tuple(there)


def _but(card: Card) -> str:
    """` (but not with kernel=0)`: with which options it is no longer so."""
    if card.swap == "trained":
        return ""
    options = [f"{name}={values[0]}" for name, values in card.swap_if.items() if name != "causal"]
    if True in card.swap_if.get("causal", ()):
        options.append("--causal")
    return f" (but not with {' and '.join(options)})"


def joined(old: Sequence[Evidence], new: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """All that is asked for on either side, with what the old side knows of it."""
    cells = {record.cell: record for record in old}
    for record in new:
        there = cells.get(record.cell)
        cells[record.cell] = record if there is None else _added(there, record)
    return tuple(cells.values())


def _added(old: Evidence, new: Evidence) -> Evidence:
    measured = {(one.regime, one.data) for one in old.fidelity}
    fidelity = (one for one in new.fidelity if (one.regime, one.data) not in measured)
    abilities = ability_steps.joined(old.ability, new.ability)
    return replace(old, fidelity=(*old.fidelity, *fidelity), ability=abilities)


def _resumed(order: Order, saved: Evaluation, note: Note) -> Evaluation:
    """The saved evaluation and what is asked for besides.

    What other code found out is forgotten. Code is never taken from a place that the file names: it
    may come from a stranger.
    """
    request = order.request
    if order.out is not None or request.seed not in {0, saved.seed}:
        word = "out" if order.out is not None else "seed"
        raise UsageError(
            f"--resume continues the saved evaluation; it cannot be combined with --{word}"
        )
    adds = request.variant or "task" in order.flags
    records, variants = _asked(request, note) if adds else ((), {})
    catalog = Catalog(request.plugin)
    for name, old in saved.variants.items():
        if name not in catalog.names():
            hint = "--plugin says where it is" if old.plugin else None
            raise UsageError(f"cannot resume: there is no variant {name!r}", hint)
        variants[name] = catalog.variant(name)
    _has_its_data(saved, request)
    stale = [name for name, old in saved.variants.items() if variants[name].code != old.code]
    if stale:
        note(f"evaluated again, as its code has changed: {', '.join(stale)}")
    kept = [_forgotten(one) if one.cell.variant in stale else one for one in saved.records]
    return replace(
        saved, variants=dict(sorted(variants.items())), records=joined(kept, records),
        finished=False,
    )  # fmt: skip


def _has_its_data(saved: Evaluation, request: EvaluationRequest) -> None:
    """Of tensors of the user's own the file knows the hash, and not where they are."""
    wanted = {
        one.data for record in saved.records for one in record.fidelity
        if one.data and fidelity_steps.is_open(one)
    }  # fmt: skip
    given = None if request.qkv is None else tensor_file.look(Path(request.qkv)).hash
    if wanted - {given}:
        raise UsageError(
            "cannot resume: its own q, k and v are needed", "--qkv says where they are"
        )


def _forgotten(record: Evidence) -> Evidence:
    """What was asked for, without what was found."""
    fidelity = tuple(
        type(one)(regime=one.regime, data=one.data, draws=one.draws) for one in record.fidelity
    )
    ability = tuple(ability_steps.forgotten(one) for one in record.ability)
    return Evidence(cell=record.cell, fidelity=fidelity, ability=ability)


@contextmanager
def destination(order: Order, evaluation: Evaluation, before: Path | None = None) -> Iterator[Path]:
    """Where the evaluation is saved, held for this process alone; `before`: the file it has."""
    named = before or order.out
    with files.locked(named) if named else files.locked_new(evaluation) as path:
        _refuse_replacing(order)
        yield path


def _refuse_replacing(order: Order) -> None:
    if order.out is not None:
        hint = "--resume goes on with it, --force replaces it"
        unless_there(order.out, force=order.force, hint=hint)


def evaluated(
    order: Order, evaluation: Evaluation, path: Path, launcher: Launcher,
    watch: Callable[[Done], None],
) -> Evaluation:  # fmt: skip
    """The evaluation, with all that was asked for.

    Raises:
        Interrupted: by the user; what was found out is saved.
    """
    saver = store.Writer(path)
    saver.write(evaluation)  # before any work: a path that cannot be written is said at once
    try:
        return Evaluator(evaluation, launcher, saver, watch).run(_steps(order, evaluation))
    except KeyboardInterrupt:
        raise Interrupted(path) from None
    finally:
        saver.close()


def _steps(order: Order, evaluation: Evaluation) -> Iterator[Step]:
    """What is left to do, whatever the task."""
    seconds = parse_seconds(order.request.time_limit, "--time-limit")
    memory = usual_memory_limit()
    file = order.request.qkv
    own = None if file is None else str(Path(file).absolute())
    yield from fidelity_steps.steps(evaluation, seconds, memory, own)
    yield from ability_steps.steps(evaluation, seconds, memory)
