"""Profiles against an older one, side by side: what differs, the means, the cells, what is gone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import METRICS, Comparison, Pair
from effattn_cli.analysis.compare.differences import differences, drifted
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.analysis.series import groups
from effattn_cli.metrics import NOISY, Metric
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.compare import change_phrases
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.metric_words import TOLD
from effattn_cli.report.profile.claims import listed

FEW = 24  # cells up to which all are shown
MANY = 6  # variants that are named one by one
IN_TURN = "Measure both anew, in turn, or as two plugins in one sweep (--variants)."


@dataclass(frozen=True, kw_only=True)
class Block:
    """A table under its title."""

    title: str
    grid: Grid
    folds: bool = False  # a detail, where there is a way to fold it away


def report(found: Mapping[str, Comparison], *, old: str, all: bool) -> Group:
    """For a terminal; `found` is by the name of the new profile."""
    shown: list[RenderableType] = [Text(line) for line in opening(found, old)]
    for block in blocks(found, all=all):
        shown += [Text(), Text(block.title, "bold"), block.grid]
    shown.append(Text())
    return Group(*shown, *(Text(line) for line in closing(found, all=all)))


def opening(found: Mapping[str, Comparison], old: str) -> Iterator[str]:
    """What is compared, and first of all what else differs."""
    yield f"old: {units.clean(old)}"
    for name, each in found.items():
        yield f"new: {units.clean(name)}"
        for item in differences(each):
            before, after = (_shortened(units.clean(side)) for side in (item.old, item.new))
            yield f"  differs: {units.clean(item.what)}: {before} -> {after}"
        told = change_phrases.counts(each)
        yield f"  {told}" if told else "  nothing that was measured in both"


def blocks(found: Mapping[str, Comparison], *, all: bool) -> list[Block]:
    comparisons = list(found.values())
    titles = [units.clean(name)[:20] for name in found] if len(found) > 1 else ["change"]
    return [*_means(comparisons, titles), *_cells(comparisons, titles, all=all)]


def closing(found: Mapping[str, Comparison], *, all: bool) -> Iterator[str]:
    """Cells without a verdict, and what the verdicts are worth."""
    for name, each in found.items():
        before = f"{units.clean(name)}: " if len(found) > 1 else ""
        yield from (before + line for line in _without_verdict(each))
        yield from (before + line for line in _worth(each))
        hidden = sum(1 for pair in each.pairs if not _stands_out(pair))
        if not all and len(each.pairs) > FEW and hidden:
            same = f"{before}{units.number(hidden, 'cell')}, the same or unclear"
            yield f"{same}: shown with --all."


def _means(comparisons: Sequence[Comparison], titles: Sequence[str]) -> Iterator[Block]:
    known = [{mean.label: mean for mean in each.means} for each in comparisons]
    labels = list(dict.fromkeys(label for means in known for label in means))
    for metric in METRICS:
        rows = []
        for label in labels:
            found = [means[label].changes.get(metric) if label in means else None
                     for means in known]  # fmt: skip
            if not any(c and (metric in NOISY or c.verdict != "same") for c in found):
                continue
            number = max(m[label].cells.get(metric, 0) for m in known if label in m)
            first = (Text(units.clean(label)), Text(str(number)))
            rows.append(Row(cells=(*first, *_changed(found, metric))))
        if rows:
            columns = (Column(title="variant", folds=1), Column(title="cells", right=True))
            yield Block(
                title=f"{TOLD[metric].title}, geometric mean over the cells of a variant",
                grid=Grid((*columns, *_columns(titles)), rows),
            )


def _cells(
    comparisons: Sequence[Comparison], titles: Sequence[str], *, all: bool
) -> Iterator[Block]:
    """A table for each setting and metric; of what is counted only that which changed."""
    partners = [{id(pair.old): pair for pair in each.pairs} for each in comparisons]
    pairs_of = {id(record): [known.get(id(record)) for known in partners]
               for record in comparisons[0].old.records}  # fmt: skip
    paired = [record for record in comparisons[0].old.records if any(pairs_of[id(record)])]
    everything = all or len(paired) <= FEW
    shown = {
        metric: {id(record) for record in paired
                 if any(p and _is_shown(p, metric, everything) for p in pairs_of[id(record)])}
        for metric in METRICS
    }  # fmt: skip
    for group in groups(r for r in paired if any(id(r) in found for found in shown.values())):
        for metric in METRICS:
            rows = [
                _row(record, pairs_of[id(record)], metric)
                for record in group.records
                if id(record) in shown[metric]
            ]
            if rows:
                extra = (Column(title="new", right=True),) if len(titles) == 1 else ()
                columns = (
                    Column(title="seq", right=True),
                    Column(title="variant", folds=1),
                    Column(title="old", right=True),
                    *extra,
                    *_columns(titles),
                )
                title = f"{TOLD[metric].title}: {phrases.title(group.shape)}"
                yield Block(title=title, grid=Grid(columns, rows), folds=True)


def _columns(titles: Sequence[str]) -> Iterator[Column]:
    for title in titles:
        yield Column(title=title, right=True)
        yield Column(title="", tight=True, extra=1)
        yield Column(title="" if len(titles) > 1 else "verdict")


def _row(record: Record, pairs: Sequence[Pair | None], metric: Metric) -> Row:
    cells = [Text(units.length(record.cell.seq)), Text(units.clean(record.cell.label))]
    cells.append(Text(phrases.value(record, metric)))
    if len(pairs) == 1 and pairs[0] is not None:
        cells.append(Text(phrases.value(pairs[0].new, metric)))
    found = [pair.changes.get(metric) if pair else None for pair in pairs]
    told = list(_changed(found, metric))
    for place, pair in enumerate(pairs):
        if pair and found[place] is None:
            told[3 * place + 2] = Text(_no_verdict(pair), "dim")
    return Row(cells=(*cells, *told))


def _changed(found: Sequence[Change | None], metric: Metric) -> Iterator[Text]:
    for change in found:
        if change is None:
            yield from (Text(), Text(), Text("-", "dim"))
        else:
            yield Text(change_phrases.amount(change))
            yield Text(change_phrases.plus_minus(change), "dim")
            yield change_phrases.verdict(change, metric, brief=len(found) > 1)


def _is_shown(pair: Pair, metric: Metric, everything: bool) -> bool:  # noqa: FBT001
    change = pair.changes.get(metric)
    if change is None:
        return everything and metric == "latency" and bool(pair.old.seconds and pair.new.seconds)
    return change.verdict in {"better", "worse"} or (everything and metric in NOISY)


def _stands_out(pair: Pair) -> bool:
    return any(change.verdict in {"better", "worse"} for change in pair.changes.values())


def _no_verdict(pair: Pair) -> str:
    return "predicted" if "predicted" in (pair.old.status, pair.new.status) else "-"


def _without_verdict(found: Comparison) -> Iterator[str]:
    predicted = [pair.new for pair in found.pairs
                 if "predicted" in (pair.old.status, pair.new.status)]  # fmt: skip
    lists = {
        "fail now": [pair.new for pair in found.pairs if pair.newly_failed],
        "work now": [pair.new for pair in found.pairs if pair.newly_fixed],
        "predicted, so without a verdict": predicted,
        "only in the old profile": found.only_old,
        "only in the new profile": found.only_new,
    }
    if any(lists.values()):
        shapes = change_phrases.shapes(found)
        for what, records in lists.items():
            for group in groups(records):
                where = phrases.apart(group.shape, [*shapes, group.shape])
                yield from _listed(f"{what}{f' ({where})' if where else ''}", group.records)


def _listed(what: str, records: Sequence[Record]) -> Iterator[str]:
    """`fail now: linformer at 32k and 64k (out of memory)`: those of the same lengths together."""
    lengths: dict[tuple[str, str], list[int]] = {}
    for record in records:
        why = phrases.REASONS[record.failure.reason] if record.failure else ""
        lengths.setdefault((units.clean(record.cell.label), why), []).append(record.cell.seq)
    labels: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (label, why), seqs in lengths.items():
        labels.setdefault((why, tuple(dict.fromkeys(seqs))), []).append(label)
    for (why, some), names in labels.items():
        told = listed(names) if len(names) <= MANY else f"{len(names)} variants ({names[0]}, ...)"
        where = listed([units.length(seq) for seq in some])
        yield f"{what}: {told} at {where}{f' ({why})' if why else ''}"


def _worth(found: Comparison) -> Iterator[str]:
    labels = drifted(found)
    if labels:
        names = listed([units.clean(label) for label in labels])
        yield (
            f"{names if len(labels) <= 4 else f'{len(labels)} variants'} changed although code,"
            " torch and hardware are the same: the machine itself may have changed speed."
            f" {IN_TURN}"
        )
    if found.slowdown is not None:
        told = f"A fixed kernel took {change_phrases.percent(found.slowdown - 1)} in the new one"
        if max(found.slowdown, 1 / found.slowdown) < 1.02:
            yield f"{told}: the machine itself was as fast."
        else:
            advice = "" if found.in_turn else f" {IN_TURN}"
            yield (
                f"{told}: the machine itself changed speed. Changes are corrected by what cells"
                f" show of that, and the less sure.{advice}"
            )
    if found.spread:
        yield (
            f"Medians differ by {100 * found.spread:.2g} % from process to process: at these"
            f" rounds, a change in a single cell is found from {_about(found.visible)} on. A change"
            " is the median over all pairs of an old and a new round, ± half its 95 % interval, or"
            " (from, to) where that is wide."
        )


def _about(share: float) -> str:
    return f"about {float(f'{100 * share:.2g}'):g} %" if share < 9 else "ten times"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]} ... {text[-15:]}"
