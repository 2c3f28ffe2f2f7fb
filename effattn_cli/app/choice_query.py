"""What `effattn choose` is asked, and the records that answer it: given profiles, or the newest."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

from effattn_cli import library
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.candidates import Contender, Needs, contenders
from effattn_cli.analysis.selection.filters import Pool, Setting, alike, narrowed, pool
from effattn_cli.analysis.selection.own_scores import joined
from effattn_cli.analysis.selection.ranking import Choice, Preference, choose
from effattn_cli.app import named_profiles
from effattn_cli.cards import Variant
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan import budgets, cells
from effattn_cli.quantities import parse_share
from effattn_cli.records import Cell, Profile, Record

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
    kv_heads: int | None
    head_dim: int | None
    compile: bool | None
    alloc: str | None
    cache: str | None
    causal: bool
    padding: bool
    exact: bool
    latency: str | None
    memory: str | None
    energy: str | None
    confidence: str
    prefer: Preference
    explain: bool
    chart: bool | None
    emit: Path | None
    force: bool
    json: bool

    @property
    def setting(self) -> Setting:
        own = {item.name: getattr(self, item.name) for item in fields(Setting)}
        own["dtype"] = cells.DTYPES.get(self.dtype or "", self.dtype)
        return Setting(**(own | {"causal": self.causal or None, "padding": None}))

    def needs(self) -> Needs:
        """The limits and the hard needs.

        Raises:
            UsageError: there is no limit, or one cannot be read.
        """
        read = ((self.latency, budgets.latency), (self.memory, budgets.memory))
        found = [parse(text) for text, parse in (*read, (self.energy, budgets.energy)) if text]
        if not found:
            raise UsageError("there is no limit to keep", "--latency 50ms, or --memory 2GiB")
        confidence = parse_share(self.confidence, "--confidence")
        if not 0.5 <= confidence <= 0.99:
            hint = "from 50%, the expected value, to 99%"
            raise UsageError(f"--confidence: {self.confidence} is out of range", hint)
        return Needs(
            limits=tuple(found),
            causal=self.causal,
            decode=self.phase == "decode",
            padding=self.padding,
            exact=self.exact,
            confidence=confidence,
        )


@dataclass(frozen=True)
class Case:
    """The question, and the records that answer it."""

    wishes: Wishes
    needs: Needs
    shape: Cell
    records: Sequence[Record]
    contenders: Sequence[Contender]
    profile: Profile
    scored: str | None  # what the profiles' own scores are of

    def at(self, seq: int) -> Choice:
        return choose(self.contenders, seq, self.needs, self.wishes.prefer, self.scored)


def case_of(wishes: Wishes, needs: Needs) -> Case:
    profiles = _given(wishes) if wishes.profiles else _newest(wishes)
    found = pool(profiles)
    records = _narrowed(found, wishes)
    known = _published(found.variants)
    scores = joined(profiles)
    under = utilisation.of(records[0].cell, found.rooflines)
    return Case(
        wishes=wishes,
        needs=needs,
        shape=replace(records[0].cell, variant="", options={}, seq=0),
        records=records,
        contenders=contenders(records, needs, known, found.records, scores, under),
        profile=profiles[0],
        scored=scores.of if scores else None,
    )


def _narrowed(found: Pool, wishes: Wishes) -> list[Record]:
    """With padding where it is asked for and was measured."""
    if wishes.padding and any(record.cell.padding for record in found.records):
        return narrowed(found.records, replace(wishes.setting, padding=True))
    return narrowed(found.records, wishes.setting)


def _given(wishes: Wishes) -> list[Profile]:
    found = [named_profiles.profile(name) for name in wishes.profiles or ()]
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


def _published(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Published scores for a profile that was made before cards had them."""
    found = dict(variants)
    if any(variant.card.lra is not None for variant in variants.values()):
        return found
    catalog = Catalog()
    for name, variant in variants.items():
        if variant.plugin is None:
            with suppress(UsageError, BrokenPlugin):
                score = catalog.variant(name).card.lra
                found[name] = replace(variant, card=replace(variant.card, lra=score))
    return found
