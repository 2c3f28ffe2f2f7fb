"""Profiles against an older one, side by side: what differs, the means, the cells, what is gone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.differences import differences, drifted
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import Metric
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.compare import change_phrases
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.profile.claims import listed

FEW = 24  # cells up to which all are shown
MANY = 6  # variants that are named one by one
IN_TURN = "To be certain, measure both versions in one sweep, as two plugins (--variants)."


@dataclass(frozen=True, kw_only=True)
class Block:
    """A table under its title."""

    title: str
    grid: Grid
    folds: bool = False  # a detail, where there is a way to fold it away


def report(comparisons: Mapping[str, Comparison], *, old: str, all: bool) -> Group:
    """For a terminal; `comparisons` are by the name of the new profile."""
    shown: list[RenderableType] = [Text(line) for line in opening(comparisons, old)]
    for block in blocks(comparisons, all=all):
        shown += [Text(), Text(block.title, "bold"), block.grid]
    shown.append(Text())
    return Group(*shown, *(Text(line) for line in closing(comparisons, all=all)))


def opening(comparisons: Mapping[str, Comparison], old: str) -> Iterator[str]:
    """What is compared, of which machines, and what else differs."""
    yield f"old: {units.clean(old)}"
    yield from dict.fromkeys(f"  {phrases.origin(one.old)}" for one in comparisons.values())
    for name, comparison in comparisons.items():
        yield f"new: {units.clean(name)}"
        yield f"  {phrases.origin(comparison.new)}"
        for item in differences(comparison):
            before, after = (_shortened(units.clean(side)) for side in (item.old, item.new))
            yield f"  differs: {units.clean(item.what)}: {before} -> {after}"
        summary = change_phrases.counts(comparison)
        yield f"  {summary}" if summary else "  no measurements in common"


def blocks(by_metric: Mapping[str, Comparison], *, all: bool) -> list[Block]:
    comparisons = list(by_metric.values())
    titles = [units.clean(name)[:20] for name in by_metric] if len(by_metric) > 1 else ["change"]
    return [*_means(comparisons, titles), *_cells(comparisons, titles, all=all)]


def closing(comparisons: Mapping[str, Comparison], *, all: bool) -> Iterator[str]:
    """Cells without a verdict, and what the verdicts are worth."""
    for name, comparison in comparisons.items():
        before = f"{units.clean(name)}: " if len(comparisons) > 1 else ""
        yield from (before + line for line in _without_verdict(comparison))
        yield from (before + line for line in _worth(comparison))
        hidden = sum(1 for pair in comparison.pairs if not _stands_out(pair))
        if not all and len(comparison.pairs) > FEW and hidden:
            same = f"{before}{units.number(hidden, 'cell')}, the same or unclear"
            yield f"{same}: shown with --all."


def _means(comparisons: Sequence[Comparison], titles: Sequence[str]) -> Iterator[Block]:
    """A table for each metric: a row for each variant whose mean is worth one."""
    by_label = [{mean.label: mean for mean in one.means} for one in comparisons]
    labels = list(dict.fromkeys(label for means in by_label for label in means))
    for metric in comparisons[0].metrics.values():
        rows = []
        for label in labels:
            means = [one.get(label) for one in by_label]
            changes = [mean.changes.get(metric.name) if mean else None for mean in means]
            if any(c and (metric.noisy or c.verdict != "same") for c in changes):
                number = max(mean.cells.get(metric.name, 0) for mean in means if mean)
                first = (Text(units.clean(label)), Text(str(number)))
                rows.append(Row(cells=(*first, *_changed(changes, metric))))
        if rows:
            columns = (Column(title="variant", folds=1), Column(title="cells", right=True))
            yield Block(
                title=f"{metric.title}, geometric mean over the cells of a variant",
                grid=Grid((*columns, *_columns(titles)), rows),
            )


@dataclass(frozen=True)
class _Partners:
    """A record of the old profile, and its pair in each comparison; None where it has none."""

    record: Record
    pairs: list[Pair | None]


def _partners(comparisons: Sequence[Comparison]) -> list[_Partners]:
    """Of the records that have a partner in any comparison."""
    by_record = [{id(pair.old): pair for pair in one.pairs} for one in comparisons]
    rows = []
    for record in comparisons[0].old.records:
        pairs = [pairs.get(id(record)) for pairs in by_record]
        if any(pairs):
            rows.append(_Partners(record, pairs))
    return rows


def _cells(
    comparisons: Sequence[Comparison], titles: Sequence[str], *, all: bool
) -> Iterator[Block]:
    """A table for each setting and metric; of what is counted only that which changed."""
    rows = _partners(comparisons)
    everything = all or len(rows) <= FEW
    metrics = list(comparisons[0].metrics.values())
    shown: dict[str, dict[int, _Partners]] = {metric.name: {} for metric in metrics}
    for row in rows:
        for metric in metrics:
            if any(pair and _is_shown(pair, metric, everything) for pair in row.pairs):
                shown[metric.name][id(row.record)] = row
    kept = {key for by_record in shown.values() for key in by_record}
    for series in by_setting(row.record for row in rows if id(row.record) in kept):
        for metric in metrics:
            by_record = shown[metric.name]
            mine = [by_record[id(record)] for record in series.records if id(record) in by_record]
            if mine:
                title = f"{metric.title}: {series.setting.title}"
                grid = Grid(_cell_columns(titles), [_row(row, metric) for row in mine])
                yield Block(title=title, grid=grid, folds=True)


def _cell_columns(titles: Sequence[str]) -> tuple[Column, ...]:
    new = (Column(title="new", right=True),) if len(titles) == 1 else ()
    return (
        Column(title="seq", right=True),
        Column(title="variant", folds=1),
        Column(title="old", right=True),
        *new,
        *_columns(titles),
    )


def _columns(titles: Sequence[str]) -> Iterator[Column]:
    for title in titles:
        yield Column(title=title, right=True)
        yield Column(title="", tight=True, extra=1)
        yield Column(title="" if len(titles) > 1 else "verdict")


def _row(row: _Partners, metric: Metric) -> Row:
    record, pairs = row.record, row.pairs
    cells = [Text(units.length(record.cell.seq)), Text(units.clean(record.cell.label))]
    cells.append(Text(phrases.value(record, metric)))
    if len(pairs) == 1 and pairs[0] is not None:
        cells.append(Text(phrases.value(pairs[0].new, metric)))
    changes = [pair.changes.get(metric.name) if pair else None for pair in pairs]
    texts = list(_changed(changes, metric))
    for index, pair in enumerate(pairs):
        if pair and changes[index] is None:
            texts[3 * index + 2] = Text(_no_verdict(pair), "dim")
    return Row(cells=(*cells, *texts))


def _changed(changes: Sequence[Change | None], metric: Metric) -> Iterator[Text]:
    for change in changes:
        if change is None:
            yield from (Text(), Text(), Text("-", "dim"))
        else:
            yield Text(change_phrases.amount(change))
            yield Text(change_phrases.plus_minus(change), "dim")
            yield change_phrases.verdict(change, metric, brief=len(changes) > 1)


def _is_shown(pair: Pair, metric: Metric, everything: bool) -> bool:  # noqa: FBT001
    change = pair.changes.get(metric.name)
    if change is None:
        has_latency = bool(pair.old.seconds and pair.new.seconds)
        return everything and metric.name == "latency" and has_latency
    return change.verdict in {"better", "worse"} or (everything and metric.noisy)


def _stands_out(pair: Pair) -> bool:
    return any(change.verdict in {"better", "worse"} for change in pair.changes.values())


def _no_verdict(pair: Pair) -> str:
    return "predicted" if "predicted" in (pair.old.status, pair.new.status) else "-"


def _without_verdict(comparison: Comparison) -> Iterator[str]:
    predicted = [pair.new for pair in comparison.pairs
                 if "predicted" in (pair.old.status, pair.new.status)]  # fmt: skip
    lists = {
        "fail now": [pair.new for pair in comparison.pairs if pair.newly_failed],
        "work now": [pair.new for pair in comparison.pairs if pair.newly_fixed],
        "predicted, so without a verdict": predicted,
        "only in the old profile": comparison.only_old,
        "only in the new profile": comparison.only_new,
    }
    if any(lists.values()):
        settings = change_phrases.settings(comparison)
        for what, records in lists.items():
            for series in by_setting(records):
                where = series.setting.apart([*settings, series.setting])
                yield from _listed(f"{what}{f' ({where})' if where else ''}", series.records)


def _listed(what: str, records: Sequence[Record]) -> Iterator[str]:
    """`fail now: linformer at 32k and 64k (out of memory)`: those of the same lengths together."""
    lengths: dict[tuple[str, str], list[int]] = {}
    for record in records:
        why = phrases.REASONS[record.failure.reason] if record.failure else ""
        lengths.setdefault((units.clean(record.cell.label), why), []).append(record.cell.seq)
    labels: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (label, why), seqs in lengths.items():
        labels.setdefault((why, tuple(dict.fromkeys(seqs))), []).append(label)
    for (why, seqs_of_all), names in labels.items():
        who = listed(names) if len(names) <= MANY else f"{len(names)} variants ({names[0]}, ...)"
        where = listed([units.length(seq) for seq in seqs_of_all])
        yield f"{what}: {who} at {where}{f' ({why})' if why else ''}"


def _worth(comparison: Comparison) -> Iterator[str]:
    labels = drifted(comparison)
    if labels:
        names = listed([units.clean(label) for label in labels])
        yield (
            f"{names if len(labels) <= 4 else f'{len(labels)} variants'} changed although code,"
            " torch and hardware are the same: the machine itself may have changed speed."
            f" {IN_TURN}"
        )
    if comparison.slowdown is not None:
        yield _machine_speed(comparison.slowdown, "" if comparison.in_turn else f" {IN_TURN}")
    if comparison.spread:
        spread = f"{float(f'{100 * comparison.spread:.2g}'):g} %"
        yield (
            f"Medians vary by {spread} between processes: with these rounds,"
            f" {_detectable(comparison.minimum_detectable_effect)} can be detected in a single"
            " cell. A change is the median over all pairs of an old and a new round, ± half its"
            " 95 % interval, or (from, to) where that is wide."
        )


def _machine_speed(slowdown: float, advice: str) -> str:
    """What the reference kernel says of the machine; `slowdown` is its new time over its old."""
    if max(slowdown, 1 / slowdown) < 1.02:
        return "The reference kernel ran equally fast in both profiles."
    slower = slowdown > 1
    share = change_phrases.percent(abs(slowdown - 1)).removeprefix("+")
    return (
        f"The reference kernel was {share} {'slower' if slower else 'faster'} in the new profile,"
        f" so the machine {'slowed down' if slower else 'sped up'}. Changes are corrected for it"
        f" and less certain.{advice}"
    )


def _detectable(effect: float) -> str:
    if effect >= 9:
        return "only changes of 10x or more"
    return f"changes of about {float(f'{100 * effect:.2g}'):g} % or more"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]} ... {text[-15:]}"
