"""What `effattn choose --model` is asked: layouts of a model, and the records of their parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from msgspec import structs

from effattn_cli.analysis import model_choice
from effattn_cli.analysis.model_choice import Layout, Limits, Option, Swap
from effattn_cli.analysis.model_time import Times
from effattn_cli.app import Note, named_profiles
from effattn_cli.architecture import Layer, Model
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.models import replacing
from effattn_cli.models.budget import Deployment
from effattn_cli.models.cells import base, parts
from effattn_cli.models.replacing import Change
from effattn_cli.plan.model_choices import arranged
from effattn_cli.policy import LayoutPolicy
from effattn_cli.records import Profile, Record, Roofline
from effattn_cli.setting import Setting

FULL = "full_attention"
#: What takes the place of full attention, and the shares of it that stay, where nobody said.
WINDOWS = (1024, 4096)
TRAINED = ("gated-deltanet", "mamba2", "kda")
SHARES = (Fraction(1, 2), Fraction(1, 4), Fraction(0))


@dataclass(frozen=True, kw_only=True)
class Question:
    """The model, how it is to run, and within what."""

    model: Model
    deployment: Deployment
    limits: Limits
    profiles: Sequence[str] = ()  # names; none: the newest that have parts of it
    setting: Mapping[str, Any]  # the values on the axes that were given
    replacements: Sequence[str] = ()  # as typed; none: the usual ones
    keep: str | None = None
    weights: str = "any"  # what may become of them: "any", "keep" or "train"


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
    found = model_choice.options(_layouts(question), question.limits, times, setting)
    return Answer(
        question=question,
        options=found,
        setting=setting,
        machine=profiles[0].machine.words if profiles and setting is not None else None,
    )


def policy(found: Answer) -> LayoutPolicy | None:
    """The best layout for a service; None where nothing fits."""
    best, asked = found.best, found.question
    if best is None:
        return None
    limits = {
        "memory": asked.limits.memory,
        "prefill": asked.limits.prefill,
        "tokens_per_second": asked.limits.tokens_per_second,
    }
    return LayoutPolicy(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=found.machine,
        context=asked.deployment.context,
        batch=asked.deployment.batch,
        weights=best.layout.deployment.weights,
        swap=best.layout.swap,
        limits={name: float(limit) for name, limit in limits.items() if limit is not None},
        model=best.layout.model,
    )


def _layouts(question: Question) -> Iterator[Layout]:
    """The model as it is, then with smaller weights, then with other mixers."""
    model, run = question.model, question.deployment
    own = Layout(model=model, swap="as it is", kept=1.0, deployment=run)
    yield own
    if run.weights is None and question.weights != "train" and not question.replacements:
        yield from model_choice.quantised(own)
    seen, catalog = {model.layers}, Catalog()
    for layout in _replaced(question):
        swap = swap_of(model, layout, catalog)
        if layout.layers in seen or (question.weights == "keep" and swap == "trained"):
            continue
        seen.add(layout.layers)
        pairs = zip(model.layers, layout.layers, strict=True)
        kept = sum(old == new for old, new in pairs) / len(model.layers)
        window = _window(layout)
        yield Layout(model=layout, swap=swap, kept=kept, deployment=run, window=window)


def _window(layout: Model) -> int:
    """The narrowest of its windows; 0 where it has none."""
    options = (layer.mixer.options for layer in layout.layers if layer.mixer)
    windows = [given["window"] for given in options if isinstance(given.get("window"), int)]
    return min((int(window) for window in windows), default=0)


def _replaced(question: Question) -> Iterator[Model]:
    model = question.model
    if question.replacements:
        yield from arranged(model, question.replacements, question.keep)
        return
    if FULL not in replacing.kinds(model):
        return
    own = {layer.mixer.variant for layer in model.layers if layer.mixer}
    for share in SHARES:
        for window in WINDOWS:
            if window < question.deployment.context:
                options = {"window": window}
                change = Change(kind=FULL, variant="sliding-window", options=options, keep=share)
                yield replacing.changed(model, change)
        for variant in TRAINED:
            if variant not in own:
                yield replacing.changed(
                    model, Change(kind=FULL, variant=variant, options={}, keep=share)
                )


def swap_of(model: Model, layout: Model, catalog: Catalog) -> Swap:
    """What the layout asks of the model's weights: the most of what its new layers do."""
    order: list[Swap] = [*model_choice.SWAPS]
    swaps: list[Swap] = ["as it is"]
    for old, new in dict.fromkeys(zip(model.layers, layout.layers, strict=True)):
        if old != new:
            swaps.append(_layer_swap(old, new, catalog))
    return max(swaps, key=order.index)


def _layer_swap(old: Layer, new: Layer, catalog: Catalog) -> Swap:
    """A softmax layer can become what its card says; any other has nothing that could be kept."""
    if old.mixer is None or new.mixer is None:
        return "trained"
    before = catalog.variant(old.mixer.variant)
    after = catalog.variant(new.mixer.variant)
    plain = before.swap(old.mixer.options, causal=old.mixer.causal, kv_heads=True)
    if plain != "exact" or not replacing.same_projections(old.mixer, new.mixer):
        return "lossy" if before.name == after.name else "trained"
    return after.swap(new.mixer.options, causal=new.mixer.causal, kv_heads=True)


def _profiles(question: Question, note: Note, tell: Note) -> list[Profile]:
    """Those that are named; else the newest with a part of the model, of one machine."""
    if question.profiles:
        return [named_profiles.read(name, note) for name in question.profiles]

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
