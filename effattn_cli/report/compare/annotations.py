"""A comparison as workflow commands of GitHub Actions, which it shows as annotations."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.gate import Outcome
from effattn_cli.report.compare import change_phrases, gate_phrases
from effattn_cli.report.compare.gate_phrases import Outcomes

MOST = 10  # annotations of a kind that GitHub shows of a step; the last one counts the rest
#: What ends a command or a property of one, as GitHub wants it written.
ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
IN_TITLES = ESCAPES | {":": "%3A", ",": "%2C"}


def lines(outcomes: Outcomes, comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Errors for what breaks a limit, warnings for what is unclear or, without limits, worse, and
    a notice with the counts.
    """
    errors = [*_errors(outcomes, comparisons)]
    yield from _few("error", errors)
    warnings = _unclear(outcomes) if any(outcomes.values()) else _worse(comparisons)
    yield from _few("warning", [*warnings])
    yield from _few("notice", [*_notices(outcomes, comparisons)])


def _few(level: str, annotations: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Of each a title and words."""
    shown = annotations if len(annotations) <= MOST else annotations[: MOST - 1]
    for title, words in shown:
        yield f"::{level} title={_escaped(title, IN_TITLES)}::{_escaped(words, ESCAPES)}"
    if more := len(annotations) - len(shown):
        yield f"::{level} title=effattn::and {more} more: see the log"


def _escaped(text: str, signs: Mapping[str, str]) -> str:
    return "".join(signs.get(letter, letter) for letter in units.clean(text))


def _errors(outcomes: Outcomes, comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, str]]:
    for name, per_limit in outcomes.items():
        where = gate_phrases.in_which(name, outcomes)
        settings = change_phrases.settings(comparisons[name])
        for one in per_limit:
            title = _title(one)
            for breach in one.breaches:
                yield title, f"{gate_phrases.cell(breach, settings)}: {breach.why}{where}"
            if one.status == "nothing to compare":
                yield title, gate_phrases.outcome(one) + where


def _title(one: Outcome) -> str:
    return f"effattn: {gate_phrases.limit(one.limit)}"


def _unclear(outcomes: Outcomes) -> Iterator[tuple[str, str]]:
    for name, per_limit in outcomes.items():
        for one in per_limit:
            if one.unclear:
                words = gate_phrases.outcome(one)
                yield _title(one), words + gate_phrases.in_which(name, outcomes)


def _worse(comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, str]]:
    for name, comparison in comparisons.items():
        where = f", in {name}" if len(comparisons) > 1 else ""
        for pair in comparison.pairs:
            for title, words in _changes(pair, comparison):
                yield f"effattn: {title}", f"{words}{where}"


def _changes(pair: Pair, comparison: Comparison) -> Iterator[tuple[str, str]]:
    place = f"{pair.cell.label} at {units.length(pair.cell.seq)}"
    if pair.newly_failed:
        yield "failure", f"{place}: fails now"
    for metric in comparison.metrics.values():
        change = pair.changes.get(metric.name)
        if change is not None and change.verdict == "worse":
            amount = f"{change_phrases.amount(change)} {change_phrases.plus_minus(change)}".strip()
            yield metric.title, f"{place}: {amount} {metric.worse}"


def _notices(
    outcomes: Outcomes, comparisons: Mapping[str, Comparison]
) -> Iterator[tuple[str, str]]:
    for name, comparison in comparisons.items():
        where = f", in {name}" if len(comparisons) > 1 else ""
        counts = change_phrases.counts(comparison) or "no measurements in common"
        yield "effattn compare", f"{counts}{where}"
        for one in outcomes.get(name, ()):
            if one.passed:
                yield _title(one), gate_phrases.outcome(one) + where
