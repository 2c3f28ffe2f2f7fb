"""The course of `effattn choose`: read profiles, narrow them to the question, answer it."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from effattn_cli import library
from effattn_cli.analyse.choose import Choice, Preference, choose
from effattn_cli.analyse.contenders import Contender, Needs, contenders
from effattn_cli.analyse.relax import reaches, relaxations
from effattn_cli.analyse.setting import Pool, Setting, alike, machine, narrowed, pool
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan import grammar, limits
from effattn_cli.policy import Policy, Rule, Shape
from effattn_cli.records import Cell, Profile, Record, Variant
from effattn_cli.report import charts, choice, contexts, exports, plot

NOTHING = 1  # exit code: nothing fits
NEWEST = 8  # saved profiles that are looked at


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asked for."""

    profiles: Sequence[str] | None
    seq: str | None
    batch: int | None
    phase: str | None
    device: str | None
    dtype: str | None
    scope: str | None
    threads: int | None
    dim: int | None
    heads: int | None
    causal: bool
    padding: bool
    exact: bool
    latency: str | None
    memory: str | None
    energy: str | None
    confidence: float
    prefer: Preference
    explain: bool
    chart: bool | None
    emit: Path | None
    json: bool

    @property
    def setting(self) -> Setting:
        return Setting(
            batch=self.batch,
            phase=self.phase,
            device=self.device,
            dtype=self.dtype,
            scope=self.scope,
            threads=self.threads,
            dim=self.dim,
            heads=self.heads,
            causal=self.causal or None,
        )

    def needs(self) -> Needs:
        """The limits and the hard needs.

        Raises:
            UsageError: there is no limit, or one cannot be read.
        """
        read = ((self.latency, limits.latency), (self.memory, limits.memory))
        found = [parse(text) for text, parse in (*read, (self.energy, limits.energy)) if text]
        if not found:
            raise UsageError("there is no limit to keep", "--latency 50ms, or --memory 2GiB")
        if not 0.5 <= self.confidence <= 0.99:
            hint = "from 0.5, the expected value, to 0.99"
            raise UsageError(f"--confidence: {self.confidence} is out of range", hint)
        return Needs(
            limits=tuple(found),
            causal=self.causal,
            decode=self.phase == "decode",
            padding=self.padding,
            exact=self.exact,
            confidence=self.confidence,
        )


@dataclass(frozen=True)
class _Case:
    """The question, and the records that answer it."""

    wishes: Wishes
    needs: Needs
    shape: Cell
    records: Sequence[Record]
    contenders: Sequence[Contender]
    profile: Profile

    def at(self, seq: int) -> Choice:
        return choose(self.contenders, seq, self.needs, self.wishes.prefer)


def run(wishes: Wishes) -> int:
    """Everything that `effattn choose` does; gives its exit code."""
    needs = wishes.needs()
    seqs = grammar.lengths(wishes.seq) if wishes.seq else ()
    case = _case(wishes, needs)
    if wishes.emit is not None:
        return _emit(case, seqs, wishes.emit)
    if not seqs:
        return _longest(case)
    if len(seqs) > 1:
        return _plan(case, seqs)
    return _answer(case, seqs[0])


def _answer(case: _Case, seq: int) -> int:
    found = case.at(seq)
    relaxed = relaxations(found) if found.best is None else []
    if case.wishes.json:
        print(exports.choice(found, case.shape, relaxed))
    else:
        console = Console()
        console.print(choice.answer(found, case.shape, relaxed), highlight=False)
        if case.wishes.explain:
            console.print()
            console.print(choice.explanation(found), highlight=False)
        plot.show(charts.of_choice(found), console, asked=case.wishes.chart)
    return 0 if found.best is not None else NOTHING


def _plan(case: _Case, seqs: Sequence[int]) -> int:
    found = [case.at(seq) for seq in seqs]
    if case.wishes.json:
        print(exports.plan(found, case.shape))
    else:
        Console().print(contexts.plan(found, case.shape), highlight=False)
    return 0 if any(each.best for each in found) else NOTHING


def _longest(case: _Case) -> int:
    found = reaches(case.contenders, case.needs)
    if case.wishes.json:
        print(exports.longest(found, case.shape, case.needs))
    else:
        Console().print(contexts.longest(found, case.shape, case.needs), highlight=False)
    return 0 if any(each.seq for each in found) else NOTHING


def _emit(case: _Case, seqs: Sequence[int], path: Path) -> int:
    """A rule for each length, of those measured if none is given, at which something fits."""
    lengths = seqs or sorted({record.cell.seq for record in case.records})
    rules = [rule for seq in lengths if (rule := _rule(case.at(seq))) is not None]
    if not rules:
        print("nothing fits at any of these lengths; no policy is written", file=sys.stderr)
        return NOTHING
    share = case.needs.share("latency")
    known = {name: getattr(case.shape, name) for name in Shape.__dataclass_fields__}
    Policy(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(case.profile),
        limits={limit.resource: limit.most for limit in case.needs.limits},
        latency_share=share,
        shape=Shape(**known),
        rules=tuple(rules),
    ).write(path)
    _plan(case, lengths)
    print(f"saved: {path}", file=sys.stderr)
    return 0


def _rule(found: Choice) -> Rule | None:
    best = found.best
    if best is None:
        return None
    bases = [m.estimate.basis for m in best.margins if m.estimate is not None]
    order = ("predicted", "interpolated", "measured")
    return Rule(
        up_to=found.seq,
        variant=best.contender.variant,
        options=best.contender.options,
        basis=min(bases, key=order.index),
        chance=round(best.chance, 3),
        margins={m.limit.resource: round(1 - m.used, 3) for m in best.margins},
    )


def _case(wishes: Wishes, needs: Needs) -> _Case:
    profiles = _given(wishes) if wishes.profiles else _newest(wishes)
    found = pool(profiles)
    records = _narrowed(found, wishes)
    known = _scored(found.variants)
    return _Case(
        wishes=wishes,
        needs=needs,
        shape=replace(records[0].cell, variant="", options={}, seq=0),
        records=records,
        contenders=contenders(records, needs, known, found.records),
        profile=profiles[0],
    )


def _narrowed(found: Pool, wishes: Wishes) -> list[Record]:
    """With padding where it is asked for and was measured."""
    if wishes.padding and any(record.cell.padding for record in found.records):
        return narrowed(found.records, replace(wishes.setting, padding=True))
    return narrowed(found.records, wishes.setting)


def _given(wishes: Wishes) -> list[Profile]:
    found = [library.read(name) for name in wishes.profiles or ()]
    for name, profile in zip(wishes.profiles or (), found, strict=True):
        if not profile.records:
            raise UsageError(f"{name}: it holds no records")
    return found


def _newest(wishes: Wishes) -> list[Profile]:
    """The newest saved profiles that have such cells, all of the newest one's machine."""
    found: dict[str, Profile] = {}
    first: UsageError | None = None
    for name in list(library.newest())[:NEWEST]:
        try:
            profile = library.read(name)
            narrowed(profile.records, wishes.setting)
        except UsageError as error:
            first = first or error
            continue
        if profile.records and alike(profile, next(iter(found.values()), profile)):
            found[name] = profile
    if not found:
        hint = "effattn profile -v all, or name a profile: effattn choose ref:..."
        raise first or UsageError("no profile is saved yet", hint)
    print(f"from {', '.join(found)}", file=sys.stderr)
    return list(found.values())


def _scored(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Published scores for a profile that was made before cards had them."""
    found = dict(variants)
    if any(variant.card.lra is not None for variant in variants.values()):
        return found
    catalog = Catalog()
    for name, variant in variants.items():
        if variant.origin == "bundled":
            with suppress(UsageError, BrokenPlugin):
                score = catalog.variant(name).card.lra
                found[name] = replace(variant, card=replace(variant.card, lra=score))
    return found
