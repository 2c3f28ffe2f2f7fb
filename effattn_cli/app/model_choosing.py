"""What `effattn choose --model` is asked: layouts of a model, and the records of their parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import structs

from effattn_cli import library
from effattn_cli.analysis import model_choice
from effattn_cli.analysis.model_choice import Option
from effattn_cli.analysis.model_time import Times
from effattn_cli.analysis.selection.filters import refuse_another_machine
from effattn_cli.app import Note, named_profiles
from effattn_cli.app.model_evidence import told
from effattn_cli.app.model_layouts import Question, layouts
from effattn_cli.errors import UsageError
from effattn_cli.models.cells import base, parts
from effattn_cli.policy import LayoutPolicy
from effattn_cli.records import Profile, Record, Roofline
from effattn_cli.setting import Setting


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The layouts against the limits, what is preferred first."""

    question: Question
    options: Sequence[Option]
    setting: Setting | None  # in which the parts were measured; None: none was
    machine: str | None  # where

    @property
    def best(self) -> Option | None:
        return model_choice.best(self.options)

    @property
    def own(self) -> Option:
        """The model as it is."""
        return next(option for option in self.options if option.layout.swap == "as it is")


def answer(question: Question, note: Note, tell: Note) -> Answer:
    """What the layouts take; `tell` is given the names of profiles that nobody named."""
    profiles = _profiles(question, note, tell)
    records = [record for profile in profiles for record in _asked(question, profile.records)]
    setting = _setting(question, records)
    if setting is None and question.limits.timed:
        note("no part of the model is measured: effattn profile --model ... does that")
    rooflines: tuple[Roofline, ...] = tuple(r for p in profiles for r in p.rooflines)
    times = Times(records, rooflines)
    options = model_choice.options(
        told(question, layouts(question), tell), question.limits, times, setting
    )
    return Answer(
        question=question,
        options=options,
        setting=setting,
        machine=profiles[0].machine.words if profiles and setting is not None else None,
    )


def policy(answer: Answer) -> LayoutPolicy | None:
    """The best layout for a service; None where nothing fits."""
    best, asked = answer.best, answer.question
    if best is None:
        return None
    limits: dict[str, float | None] = {
        "memory": asked.limits.memory,
        "prefill": asked.limits.prefill,
        "tokens_per_second": asked.limits.tokens_per_second,
    }
    limits |= {str(task): limit for task, limit in asked.limits.evidence.items()}
    return LayoutPolicy(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=answer.machine,
        context=asked.deployment.context,
        batch=asked.deployment.batch,
        weights=best.layout.deployment.weights,
        cache=best.layout.deployment.cache,
        swap=best.layout.swap,
        limits={name: float(limit) for name, limit in limits.items() if limit is not None},
        model=best.layout.model,
    )


def _profiles(question: Question, note: Note, tell: Note) -> list[Profile]:
    """Those that are named; else the newest with a part of the model, of one machine."""
    if question.profiles:
        names = library.expanded(question.profiles)
        profiles = [named_profiles.read(name, note) for name in names]
        for other in profiles[1:]:
            refuse_another_machine(profiles[0].machine, other.machine)
        return profiles

    def refuse(profile: Profile) -> None:
        if _setting(question, _asked(question, profile.records)) is None:
            raise UsageError(f"it holds no part of {question.model.name}")

    kept, _ = named_profiles.newest(refuse)
    if kept:
        tell(f"from {', '.join(kept)}")
    return list(kept.values())


def _asked(question: Question, records: Sequence[Record]) -> list[Record]:
    """Those with the values on the axes that were given."""
    given = question.setting.items()
    return [
        record
        for record in records
        if all(getattr(record.cell.setting, name) == value for name, value in given)
    ]


def _setting(question: Question, records: Sequence[Record]) -> Setting | None:
    """The setting, without what a model decides, in which most of its parts were measured."""
    counts: dict[Setting, int] = {}
    there = {record.cell.resized(0): record for record in records}
    for setting in dict.fromkeys(base(record.cell.setting) for record in records):
        placed = structs.replace(setting, batch=question.deployment.batch)
        try:
            made = [*parts(question.model, question.deployment.context, placed)]
        except UsageError:
            continue
        counts[placed] = sum(part.cell.resized(0) in there for part in made)
    best = max(counts, key=lambda setting: counts[setting], default=None)
    return best if best is not None and counts[best] else None
