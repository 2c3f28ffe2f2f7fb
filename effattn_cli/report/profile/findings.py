"""What a profile says, in a few sentences that claim no more than was found."""

from collections.abc import Iterator

from effattn_cli import units
from effattn_cli.analysis.crossover.crossing import Crossover, compare, crossover
from effattn_cli.analysis.series import Group, groups
from effattn_cli.cards import Kind
from effattn_cli.metrics import Metric
from effattn_cli.records import Profile, Record
from effattn_cli.report import phrases
from effattn_cli.report.profile.claims import FORMS, against, claim, lengths, listed, times

#: What a reader must not forget over the numbers, for one variant and for several.
HINTS: dict[Kind, tuple[str, str]] = {
    "approximates softmax": (
        "approximates softmax: its quality is not measured here.",
        "approximate softmax: their quality is not measured here.",
    ),
    "own mechanism": (
        "is a mechanism of its own, not softmax: its quality is not measured here.",
        "are mechanisms of their own, not softmax: their quality is not measured here.",
    ),
    "feed-forward": (
        "replaces the feed-forward beside exact attention: its quality is not measured here.",
        "replace the feed-forward beside exact attention: their quality is not measured here.",
    ),
}


def sentences(profile: Profile) -> list[str]:
    """The findings of each setting, then what holds for all of them."""
    found = groups(profile.records)
    told = [
        _difference(group, found) + sentence
        for group in found
        for sentence in _findings(group, profile)
    ]
    return [*told, *_hints(profile), *_unfinished(profile)]


def _findings(group: Group, profile: Profile) -> Iterator[str]:
    others = [label for label in group.labels if label != profile.baseline]
    found = [crossover(group, label, profile.baseline or "", "latency") for label in others]
    crossings = [crossing for crossing in found if crossing is not None]
    if len(others) == 1 and crossings:
        yield from _one(crossings[0], group, profile)
    else:
        yield from _fastest(group, profile)
        for crossing in crossings:
            yield _line(crossing, group)
    yield from _failures(group)


def _one(found: Crossover, group: Group, profile: Profile) -> Iterator[str]:
    name, base = units.clean(found.label), units.clean(found.baseline)
    yield claim(found, group, subject=name, base=_named(found.baseline, group, profile)) + "."
    memory = crossover(group, found.label, found.baseline, _space(group))
    if memory is not None:
        alone = len(group.records) == len(profile.records)  # else a setting's name comes before
        yield claim(memory, group, subject="It" if alone else name, base=base) + "."


def _line(found: Crossover, group: Group) -> str:
    name, base = units.clean(found.label), units.clean(found.baseline)
    text = claim(found, group, subject=name, base=base, values=False)
    memory = crossover(group, found.label, found.baseline, _space(group))
    if memory is None:
        return f"{text}."
    short = FORMS[memory.metric, memory.last.verdict][1]
    much = short if memory.last.verdict == "close" else f"{times(memory)} {short}"
    return f"{text}; {much} {memory.metric} at {units.length(memory.last.seq)}."


def _space(group: Group) -> Metric:
    """In decoding, the state is what fills the memory: a step's own peak is small beside it."""
    return "state" if group.shape.phase == "decode" else "memory"


def _fastest(group: Group, profile: Profile) -> Iterator[str]:
    """Who wins at the longest length at which anything has a value."""
    for seq in reversed(group.seqs):
        found = [record for label in group.labels if (record := group.find(label, seq))]
        valued = sorted((r for r in found if r.seconds), key=lambda record: record.seconds or 0.0)
        if valued:
            yield _winner(valued, group, profile)
            return


def _winner(valued: list[Record], group: Group, profile: Profile) -> str:
    best, *rest = valued
    where = lengths([best.cell.seq])
    name, took = _named(best.cell.label, group, profile), phrases.value(best, "latency")
    if not rest:
        both = listed([text for text in (took, phrases.value(best, _space(group))) if text])
        return f"{name} takes {both} at {where}{', predicted' if best.prediction else ''}."
    close = [best, *(record for record in rest if _is_close(best, record))]
    if len(close) > 1:
        names = listed([units.clean(record.cell.label) for record in close])
        values = listed([phrases.value(record, "latency") for record in close])
        return f"At {where} the fastest are too close to call: {names} ({values})."
    other = next((record for record in rest if record.cell.label == profile.baseline), rest[0])
    found = compare(best, other, "latency")
    assert found is not None  # both have a latency
    factor = ("~" if found.predicted else "") + units.ratio(found.ratio)
    than = _named(other.cell.label, group, profile)
    pair = against(best, other, "latency")
    return f"At {where} {name} is the fastest, {factor} faster than {than}: {pair}."


def _is_close(best: Record, other: Record) -> bool:
    found = compare(best, other, "latency")
    return found is not None and found.verdict == "close"


def _named(label: str, group: Group, profile: Profile) -> str:
    """`exact attention (sdpa)` for an exact baseline, else its label."""
    names = {r.cell.variant for r in group.records if r.cell.label == label}
    exact = any(profile.variants[name].card.kind == "exact" for name in names)
    baseline = exact and label == profile.baseline
    return f"exact attention ({units.clean(label)})" if baseline else units.clean(label)


def _failures(group: Group) -> Iterator[str]:
    """A sentence for each variant and reason."""
    for label in group.labels:
        curve, found = group.curve(label), dict[str, list[Record]]()
        for record in curve:
            if record.failure is not None:
                found.setdefault(record.failure.reason, []).append(record)
        for records in found.values():
            everywhere = len(records) == len(curve) > 1
            where = "any length" if everywhere else lengths([r.cell.seq for r in records])
            yield f"{units.clean(label)} has no result at {where}: {_why(records)}."


def _why(records: list[Record]) -> str:
    """The whole reason where it is the same for all, else what the reasons share."""
    failures = [record.failure for record in records if record.failure is not None]
    reasons = {phrases.reason(failure, ", ") for failure in failures}
    return reasons.pop() if len(reasons) == 1 else phrases.REASONS[failures[0].reason]


def _difference(group: Group, found: list[Group]) -> str:
    """What sets the group apart from the others, to begin its sentences with."""
    told = phrases.apart(group.shape, [other.shape for other in found])
    return f"{told}: " if len(found) > 1 else ""


def _hints(profile: Profile) -> Iterator[str]:
    valued = {record.cell.variant for record in profile.records if record.seconds is not None}
    for kind, (one, several) in HINTS.items():
        names = [name for name in profile.variants if name in valued]
        names = [units.clean(n) for n in names if profile.variants[n].card.kind == kind]
        if names:
            yield f"{listed(names)} {one if len(names) == 1 else several}"


def _unfinished(profile: Profile) -> Iterator[str]:
    left = sum(record.status == "pending" for record in profile.records)
    if left:
        yield f"Unfinished: {left} of {len(profile.records)} cells have no result yet."
