"""A choice over the profiles of several machines: which machine, and which variant on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from effattn_cli import library
from effattn_cli.analysis.selection.candidates import Candidate
from effattn_cli.analysis.selection.price import Price
from effattn_cli.app import Note, choosing, evidence
from effattn_cli.app.named_profiles import by_machine
from effattn_cli.errors import UsageError
from effattn_cli.plan.prices import prices
from effattn_cli.records import Profile
from effattn_cli.setting import AXES, flag

#: Axes on which machines may differ: a CPU is compared with a GPU, each with all of its threads.
OWN = {"device": "", "threads": 1}


def case_of(
    question: choosing.Question, priced: Sequence[str], note: Note, tell: Note
) -> choosing.Case:
    """The records that answer the question; `priced` as prices are typed. Where there are several
    machines, or prices, each candidate is named with its machine.

    Raises:
        UsageError: no machine has such cells, their settings differ, or a price is missing.
    """
    profiles = choosing.profiles_of(question, note, tell)
    evaluations = evidence.evaluations(question.evidence, tell)
    groups = _by_machine(profiles)
    if len(groups) == 1 and not priced:
        return choosing.case_of(question, profiles, evaluations, note)
    once = _once(note)
    cases: dict[str, choosing.Case] = {}
    first: UsageError | None = None
    for name, group in groups.items():
        try:
            cases[name] = choosing.case_of(question, group, evaluations, once)
        except UsageError as error:
            first = first or error
            note(f"{name} is left out: {error}{f' ({error.hint})' if error.hint else ''}")
    if not cases:
        assert first is not None
        raise first
    by_name = prices(priced, list(groups), list(cases)) if priced else {}
    return _joined(cases, by_name)


def _once(note: Note) -> Note:
    """What holds for several machines is said once."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    return tell


def _by_machine(profiles: Mapping[str, Profile]) -> dict[str, dict[str, Profile]]:
    """The profiles of each machine, by its name: that of its first profile's file."""
    groups = by_machine(profiles, "hardware")
    return dict(zip(_names([next(iter(group)) for group in groups]), groups, strict=True))


def _names(profiles: Sequence[str]) -> list[str]:
    """Of files of one name those of their folders, too."""
    paths = [_path(name) for name in profiles]
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{path.parent.name}/{stem}"
        for path, stem in zip(paths, stems, strict=True)
    ]


def _path(name: str) -> Path:
    return (
        Path(name.removeprefix(library.REFERENCE))
        if name.startswith(library.REFERENCE)
        else library.find(name)
    )


def _joined(cases: Mapping[str, choosing.Case], by_name: Mapping[str, Price]) -> choosing.Case:
    """One case, in which the candidates of all compete."""
    places = tuple(
        choosing.Place(
            name=name, machine=case.profile.machine, setting=case.setting, price=by_name.get(name)
        )
        for name, case in cases.items()
    )
    _refuse_other_settings(places)
    first, *_ = cases.values()
    candidates = [
        _there(one, place)
        for place, case in zip(places, cases.values(), strict=True)
        for one in case.candidates
    ]
    plugins = {
        _on(label, name): origin
        for name, case in cases.items()
        for label, origin in case.plugins.items()
    }
    return replace(
        first,
        records=[record for case in cases.values() for record in case.records],
        candidates=candidates,
        plugins=plugins,
        scored=next((case.scored for case in cases.values() if case.scored), None),
        places=places,
    )


def _there(one: Candidate, place: choosing.Place) -> Candidate:
    """The candidate, named with its machine."""
    label = _on(one.label, place.name)
    return replace(one, label=label, machine=place.name, price=place.price)


def _on(label: str, machine: str) -> str:
    return f"{label} on {machine}"


def _refuse_other_settings(places: Sequence[choosing.Place]) -> None:
    first, *others = (structs.replace(place.setting, **OWN) for place in places)
    for place, other in zip(places[1:], others, strict=True):
        for name in AXES:
            mine, theirs = getattr(first, name), getattr(other, name)
            if mine != theirs:
                show = AXES[name].show
                what = f"{show(mine)} on {places[0].name}, {show(theirs)} on {place.name}"
                hint = f"say which: {flag(name)}"
                raise UsageError(f"the machines were measured in different settings: {what}", hint)
