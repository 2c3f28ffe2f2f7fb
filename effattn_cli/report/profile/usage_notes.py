"""How much of the sparse feed-forwards was used, a line for each below the tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from effattn_cli import units
from effattn_cli.records import Record, Usage
from effattn_cli.setting import Phase

NOTE = "of the feed-forward alone, its weights and inputs being random: a trained one differs"


def lines(records: Iterable[Record]) -> Iterator[str]:
    """A line for each variant, and phase if there are several; then what they are true for."""
    by_kind: dict[tuple[str, Phase], list[Usage]] = {}
    for record in records:
        if record.usage is not None:
            by_kind.setdefault((record.cell.label, record.cell.setting.phase), []).append(
                record.usage
            )
    phases = {phase for _, phase in by_kind}
    for (label, phase), usages in by_kind.items():
        name = units.clean(label) + (f" ({phase})" if len(phases) > 1 else "")
        yield f"{name}: {'; '.join(_facts(usages))}"
    if by_kind:
        yield NOTE


def _facts(usages: list[Usage]) -> Iterator[str]:
    totals = span([usage.total_parameters for usage in usages], units.count)
    active = span([usage.active_parameters for usage in usages], units.count)
    yield f"{totals} parameters, {active} for a token"
    loads = [usage.load for usage in usages if usage.load is not None]
    if loads:  # there are experts
        dropped = span([usage.dropped for usage in usages], lambda share: f"{100 * share:.1f} %")
        yield f"{dropped} of choices dropped"
        yield f"busiest expert {span(loads, lambda load: f'{load:.2f}x')} the mean"


def span(values: Sequence[float], show: Callable[[float], str]) -> str:
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low} … {high}"
