"""Which curves are drawn in colour where there are too many for all, and in which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from effattn_cli.analysis.series import Series
from effattn_cli.metrics import LATENCY, MEMORY, STATE, Metric
from effattn_cli.report.page.theme import CURVES

FASTEST = 5  # besides the baseline; then what needs least memory


@dataclass
class Styles:
    """Numbers of colours and shapes: a variant keeps its own over the charts of a page, unless
    another one in the same chart has it. The baseline's is 0.
    """

    baseline: str | None
    known: dict[str, int] = field(default_factory=dict)

    def of(self, labels: Sequence[str]) -> dict[str, int]:
        """A number for each of at most `CURVES` labels."""
        numbers: dict[str, int] = {label: 0 for label in labels if label == self.baseline}
        for label in labels:
            if self.known.get(label, 0) not in {0, *numbers.values()}:
                numbers[label] = self.known[label]
        left = (number for number in range(1, CURVES) if number not in numbers.values())
        for label in labels:
            if label not in numbers:
                numbers[label] = next(left, 0)
        self.known |= {label: number for label, number in numbers.items() if number}
        return numbers


def picked(series: Series, baseline: str | None) -> list[str]:
    """All that have a latency where these are few; else the baseline, the fastest at the longest
    length, and those that need least memory there.
    """
    ranked = _ranked(series, LATENCY)
    first = [label for label in ranked if label == baseline]
    others = [label for label in ranked if label != baseline]
    if len(ranked) > CURVES:
        decode = series.setting.phase == "decode"
        small = [label for label in _ranked(series, STATE if decode else MEMORY) if label in others]
        others = list(dict.fromkeys([*others[:FASTEST], *small, *others]))
    return [*first, *others][: CURVES if first else CURVES - 1]


def _ranked(series: Series, metric: Metric) -> list[str]:
    """Labels with a value, the longest length first, and then the least value."""
    ranks: dict[str, tuple[int, float]] = {}
    for label in series.labels:
        for record in series.curve(label):
            value = metric.value(record) if record.failure is None else None
            if value:
                ranks[label] = (-record.cell.seq, value)
    return sorted(ranks, key=lambda label: ranks[label])


def by_latency(series: Series, baseline: str | None) -> list[str]:
    """All labels: the baseline, then from the fastest at the longest length on."""
    ranked = _ranked(series, LATENCY)
    rest = [label for label in series.labels if label not in ranked]
    return sorted([*ranked, *rest], key=lambda label: label != baseline)


def drawn(labels: Iterable[str], styles: Mapping[str, int]) -> list[str]:
    """The labels that have a style."""
    return [label for label in labels if label in styles]
