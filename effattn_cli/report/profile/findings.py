"""What a profile says, in a few sentences that claim no more than was found."""

from collections.abc import Iterator

from effattn_cli import units
from effattn_cli.analysis.completeness import lacks
from effattn_cli.analysis.crossover.crossing import Crossover, compare, crossover
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.cards import Kind
from effattn_cli.metrics import LATENCY, PEAK, STATE, Metric
from effattn_cli.records import Profile, Record
from effattn_cli.report import phrases
from effattn_cli.report.profile.claims import BUSY, FORMS, against, claim, lengths, listed, times

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
    several = by_setting(profile.records)
    lines = [
        _difference(series, several) + sentence
        for series in several
        for sentence in _findings(series, profile)
    ]
    missing = lacks(profile)
    return [*lines, *_hints(profile), *([missing] if missing else [])]


def _findings(series: Series, profile: Profile) -> Iterator[str]:
    others = [label for label in series.labels if label != profile.baseline]
    crossed = [crossover(series, label, profile.baseline or "", LATENCY) for label in others]
    crossings = [crossing for crossing in crossed if crossing is not None]
    if len(others) == 1 and crossings:
        yield from _one(crossings[0], series, profile)
    else:
        yield from _fastest(series, profile)
        for crossing in crossings:
            yield _line(crossing, series)
    yield from _failures(series)


def _one(crossed: Crossover, series: Series, profile: Profile) -> Iterator[str]:
    name, base = units.clean(crossed.label), units.clean(crossed.baseline)
    yield claim(crossed, series, subject=name, base=_named(crossed.baseline, series, profile)) + "."
    memory = crossover(series, crossed.label, crossed.baseline, _space(series))
    if memory is not None:
        alone = len(series.records) == len(profile.records)  # else a setting's name comes before
        yield claim(memory, series, subject="It" if alone else name, base=base) + "."


def _line(crossed: Crossover, series: Series) -> str:
    name, base = units.clean(crossed.label), units.clean(crossed.baseline)
    text = claim(crossed, series, subject=name, base=base, values=False)
    memory = crossover(series, crossed.label, crossed.baseline, _space(series))
    if memory is None:
        return f"{text}."
    short = FORMS[memory.metric.name, memory.last.ordering][1]
    much = short if memory.last.ordering == "close" else f"{times(memory)} {short}"
    subject = name if crossed.last.ordering == "close" else "it"
    verb = "keeps" if memory.metric is STATE else "needs"
    where = units.length(memory.last.seq)
    return f"{text}; {subject} {verb} {much} {memory.metric.title} at {where}."


def _space(series: Series) -> Metric:
    """In decoding, the state is what fills the memory: a step's own peak is small beside it."""
    return STATE if series.setting.phase == "decode" else PEAK


def _fastest(series: Series, profile: Profile) -> Iterator[str]:
    """Who wins at the longest length at which anything has a value."""
    for seq in reversed(series.seqs):
        there = [record for label in series.labels if (record := series.find(label, seq))]
        valued = sorted((r for r in there if r.seconds), key=lambda record: record.seconds or 0.0)
        if valued:
            yield _winner(valued, series, profile)
            return


def _winner(valued: list[Record], series: Series, profile: Profile) -> str:
    best, *rest = valued
    where = lengths([best.cell.seq])
    name, took = _named(best.cell.label, series, profile), phrases.value(best, LATENCY)
    if not rest:
        both = listed([text for text in (took, phrases.value(best, _space(series))) if text])
        return f"{name} takes {both} at {where}{', predicted' if best.prediction else ''}."
    close = [best, *(record for record in rest if _is_close(best, record))]
    if len(close) > 1:
        names = listed([units.clean(record.cell.label) for record in close])
        values = listed([phrases.value(record, LATENCY) for record in close])
        return f"At {where} the fastest are too close to call: {names} ({values})."
    other = next((record for record in rest if record.cell.label == profile.baseline), rest[0])
    comparison = compare(best, other, LATENCY)
    assert comparison is not None  # both have a latency
    factor = ("~" if comparison.predicted else "") + units.ratio(comparison.ratio)
    than = _named(other.cell.label, series, profile)
    pair = against(best, other, LATENCY)
    busy = BUSY if comparison.busy else ""
    return f"At {where} {name} is the fastest, {factor} faster than {than}: {pair}{busy}."


def _is_close(best: Record, other: Record) -> bool:
    comparison = compare(best, other, LATENCY)
    return comparison is not None and comparison.ordering == "close"


def _named(label: str, series: Series, profile: Profile) -> str:
    """`exact attention (sdpa)` for an exact baseline, else its label."""
    names = {r.cell.variant for r in series.records if r.cell.label == label}
    exact = any(profile.variants[name].card.kind == "exact" for name in names)
    baseline = exact and label == profile.baseline
    return f"exact attention ({units.clean(label)})" if baseline else units.clean(label)


def _failures(series: Series) -> Iterator[str]:
    """A sentence for each variant and reason."""
    for label in series.labels:
        curve, failures = series.curve(label), dict[str, list[Record]]()
        for record in curve:
            if record.failure is not None:
                failures.setdefault(record.failure.reason, []).append(record)
        for records in failures.values():
            everywhere = len(records) == len(curve) > 1
            where = "any length" if everywhere else lengths([r.cell.seq for r in records])
            yield f"{units.clean(label)} has no result at {where}: {_why(records)}."


def _why(records: list[Record]) -> str:
    """The whole reason where it is the same for all, else what the reasons share."""
    failures = [record.failure for record in records if record.failure is not None]
    reasons = {phrases.reason(failure, ", ") for failure in failures}
    return reasons.pop() if len(reasons) == 1 else phrases.REASONS[failures[0].reason]


def _difference(series: Series, several: list[Series]) -> str:
    """What sets the group apart from the others, to begin its sentences with."""
    words = series.setting.apart(other.setting for other in several)
    return f"{words}: " if len(several) > 1 else ""


def _hints(profile: Profile) -> Iterator[str]:
    valued = {record.cell.variant for record in profile.records if record.seconds is not None}
    for kind, (one, several) in HINTS.items():
        names = [name for name in profile.variants if name in valued]
        names = [units.clean(n) for n in names if profile.variants[n].card.kind == kind]
        if names:
            yield f"{listed(names)} {one if len(names) == 1 else several}"
