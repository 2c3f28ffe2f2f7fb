"""One variant against the baseline, in words that hold at every length they name."""

from collections.abc import Sequence

from effattn_cli import units
from effattn_cli.analysis.crossover.crossing import Crossover, Ordering
from effattn_cli.analysis.series import Series
from effattn_cli.metrics import Metric
from effattn_cli.records import Record
from effattn_cli.report import phrases

#: The sentence, with room for a ratio, and the short form of its verb.
FORMS: dict[tuple[str, Ordering], tuple[str, str]] = {
    ("latency", "better"): ("{subject} is {times}faster than {base}", "faster"),
    ("latency", "worse"): ("{subject} is {times}slower than {base}", "slower"),
    ("latency", "close"): ("{subject} and {base} are too close to call", "too close to call"),
    ("peak", "better"): ("{subject} needs {times}less peak memory than {base}", "less"),
    ("peak", "worse"): ("{subject} needs {times}more peak memory than {base}", "more"),
    ("peak", "close"): ("{subject} needs as much peak memory as {base}", "as much"),
    ("state", "better"): ("{subject} keeps {times}less state than {base}", "less"),
    ("state", "worse"): ("{subject} keeps {times}more state than {base}", "more"),
    ("state", "close"): ("{subject} keeps as much state as {base}", "as much"),
}


#: What a claim ends with that rests on a latency with the mark `!`.
BUSY = "; measured beside other load"


def claim(
    crossed: Crossover, series: Series, *, subject: str, base: str, values: bool = True
) -> str:
    """`linformer is faster than sdpa from 2k tokens on, and at 64k 6.1x faster (... against ...)`.

    It speaks of the longest lengths over which the verdict stays the same, and then of the others.
    A length where the intervals overlap is on neither side: it is too close to call.
    """
    last, run = crossed.last, [point.seq for point in crossed.run]
    form, short = FORMS[crossed.metric.name, last.ordering]
    at_last = f"at {units.length(last.seq)}"
    pair = _pair(crossed, series) if values else ""
    where = _where(run, series)
    if len(run) == 1 or last.ordering == "close":
        text = form.format(subject=subject, times=f"{times(crossed)} ", base=base) + f" {where}"
        pair += f" {at_last}" if pair and len(run) > 1 else ""
    else:
        text = form.format(subject=subject, times="", base=base) + f" {where}"
        text += " (predicted)" if crossed.run[0].predicted else ""
        text += f", and {at_last} {times(crossed)} {short}"
    text += (f" ({pair})" if pair else "") + _elsewhere(crossed, subject)
    return text + (BUSY if any(point.busy for point in crossed.points) else "")


def times(crossed: Crossover) -> str:
    """How many times better or worse at the longest length."""
    ratio = crossed.last.ratio
    text = units.ratio(ratio if ratio > 1 else 1 / ratio)
    return f"~{text}" if crossed.last.predicted else text


def against(record: Record, other: Record, metric: Metric) -> str:
    """`553 ms against ~62.1 s, predicted`."""
    mine, theirs = phrases.value(record, metric), phrases.value(other, metric)
    guessed = (mine.startswith("~"), theirs.startswith("~"))
    facts = {
        (False, False): "",
        (False, True): ", predicted",
        (True, False): ", the former predicted",
        (True, True): ", both predicted",
    }
    return f"{mine} against {theirs}{facts[guessed]}"


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def lengths(seqs: Sequence[int]) -> str:
    return f"{listed([units.length(seq) for seq in seqs])} tokens"


def _where(seqs: Sequence[int], series: Series) -> str:
    """Names no length of the sweep that is not among `seqs`."""
    first, last = units.length(seqs[0]), units.length(seqs[-1])
    tail = [seq for seq in series.seqs if seq >= seqs[0]]
    if len(seqs) > 2 and list(seqs) == list(series.seqs):
        return f"at every length from {first} to {last} tokens"
    if len(seqs) > 1 and list(seqs) == tail and len(tail) < len(series.seqs):
        return f"from {first} tokens on"
    if len(seqs) > 2 and list(seqs) == tail[: len(seqs)]:
        return f"from {first} to {last} tokens"
    return f"at {lengths(seqs)}"


def _elsewhere(crossed: Crossover, subject: str) -> str:
    """The verdicts at shorter lengths, unless a crossover says them: worse before, better after."""
    others = crossed.points[: -len(crossed.run)]
    if all(point.ordering == "worse" for point in others) and len(crossed.run) > 1:
        return ""
    parts = []
    for ordering in ("better", "worse", "close"):
        seqs = [point.seq for point in others if point.ordering == ordering]
        if seqs:
            parts.append(f"{FORMS[crossed.metric.name, ordering][1]} at {lengths(seqs)}")
    tie = crossed.metric.name == "latency" and crossed.last.ordering == "close"
    return f"; {f'{subject} is ' if tie else ''}{', '.join(parts)}" if parts else ""


def _pair(crossed: Crossover, series: Series) -> str:
    record = series.find(crossed.label, crossed.last.seq)
    baseline = series.find(crossed.baseline, crossed.last.seq)
    assert record is not None  # both are in the comparison
    assert baseline is not None
    return against(record, baseline, crossed.metric)
