"""What a sweep would do, as numbers: every cell, whole models, and how long it would take."""

from collections.abc import Iterator, Mapping

from effattn_cli.analysis.cost import time_estimate
from effattn_cli.analysis.model_time import places
from effattn_cli.architecture import Model
from effattn_cli.models.budget import Deployment, memory
from effattn_cli.models.cells import parts
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.report.documents.sweeps import Plan, PlannedCell, PlannedModel, What
from effattn_cli.setting import Setting

Calls = Mapping[Cell, float | None]  # the expected seconds of a call


def planned(profile: Profile, calls: Calls, elsewhere: str | None = None) -> Plan:
    """The plan of a profile whose cells are counted. `elsewhere` is the machine that it is for,
    where that is not this one.
    """
    sampling = profile.sampling if elsewhere is None else None
    return Plan(
        machine=elsewhere,
        seconds=_total(profile, calls) if elsewhere is None else None,
        budget_seconds=profile.sampling.time_budget,
        shard=profile.shard,
        cells=tuple(_cell(each, calls[each.cell], sampling) for each in profile.records),
        models=tuple(_models(profile, calls)),
    )


def _cell(record: Record, call: float | None, sampling: Sampling | None) -> PlannedCell:
    """Without a sampling, nothing is to be measured: it is said whether the cell fits."""
    what: What = "fits"
    if record.failure is not None:
        what = "fail"
    elif sampling is not None:
        fits = time_estimate.affordable((call or 0.0) * record.steps, sampling)
        what = "measure" if fits else "predict"
    return PlannedCell(
        cell=record.cell,
        label=record.cell.label,
        cost=record.cost,
        needs_bytes=record.needs_bytes,
        call_seconds=call,
        plan=what,
        failure=record.failure,
    )


def _total(profile: Profile, calls: Calls) -> float:
    """Seconds of the whole sweep; what does not fit the limit of a cell takes none."""
    samples = [
        (calls[record.cell] or 0.0) * record.steps
        for record in profile.records
        if record.failure is None
    ]
    return sum(
        time_estimate.cell_seconds(sample, profile.sampling)
        for sample in samples
        if time_estimate.affordable(sample, profile.sampling)
    )


def _models(profile: Profile, calls: Calls) -> Iterator[PlannedModel]:
    """Each whole model: its time, and the memory that it takes."""
    limit = profile.sampling.memory_limit
    for setting, seq in dict.fromkeys(places(profile.records)):
        for model in profile.models:
            seconds = _seconds(model, seq, setting, calls)
            run = Deployment(context=seq, batch=setting.batch, training=setting.phase == "train")
            needs = memory(model, run).total
            decodes = bool(seconds) and setting.phase == "decode"
            yield PlannedModel(
                name=model.name,
                setting=setting,
                seq=seq,
                seconds=seconds or None,
                tokens_per_second=setting.batch / seconds if decodes and seconds else None,
                needs_bytes=needs,
                fits=needs <= limit if limit is not None else None,
            )


def _seconds(model: Model, seq: int, setting: Setting, calls: Calls) -> float | None:
    """Of a pass of the model; None where a part's is not known."""
    total = 0.0
    for part in parts(model, seq, setting):
        if part.role == "mixer":
            continue
        call = calls.get(part.cell)
        if call is None:
            return None
        total += part.count * call
    return total
