"""Tables of HTML: from those that terminals show, and from values over the length."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.series import Series
from effattn_cli.metrics import Metric
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.layout import Grid, Row
from effattn_cli.report.page import speedups
from effattn_cli.report.page.svg import tag, text

CLASSES = {"green": "good", "yellow": "bad", "red": "bad", "dim": "dim", "bold": "strong"}


def table(head: Iterable[str], rows: Iterable[str], caption: str, class_: str = "") -> str:
    """A table that scrolls by itself where it is too wide; `head` and `rows` are markup."""
    content = tag("caption", text(caption)) + tag("thead", tag("tr", "".join(head)))
    made = tag("table", f"{content}<tbody>{''.join(rows)}</tbody>", class_=class_)
    return tag("div", made, class_="scroll", tabindex="0", role="group", aria_label=caption)


def grid(shown: Grid, caption: str) -> str:
    """A table as a terminal shows it, with all of its columns but a last one without words."""
    if not shown.columns[-1].title and not any(_last(row, shown) for row in shown.rows):
        rows = [Row(cells=row.cells[: len(shown.columns) - 1]) for row in shown.rows]
        shown = Grid(shown.columns[:-1], rows)
    head = [tag("th", text(column.title), scope="col", class_="num" if column.right else "")
            if column.title else tag("td", "") for column in shown.columns]  # fmt: skip
    made, first = [], Text()
    for row in shown.rows:
        if row.cells and row.cells[0].plain:
            first = row.cells[0]
        made.append(_row(shown, Row(cells=(first, *row.cells[1:])), row.cells))
    return table(head, made, caption, "sort right")


def _last(row: Row, shown: Grid) -> str:
    """What stands in the last column; a reason across several does not."""
    return row.cells[-1].plain if len(row.cells) == len(shown.columns) else ""


def _row(shown: Grid, row: Row, before: Sequence[Text]) -> str:
    """What a terminal leaves out as the same as above is there, so that rows can be sorted."""
    cells = list(row.cells)
    missing = len(shown.columns) - len(cells)
    parts = []
    for number, cell in enumerate(cells):
        classes = [] if shown.columns[number].right else ["left"]
        classes += ["again"] if number == 0 and not before[0].plain else []
        attributes: dict[str, str] = {}
        if missing and number == len(cells) - 1:
            attributes["colspan"] = str(missing + 1)
            classes = ["left"]
        classes += _classes(cell)
        parts.append(tag("td", markup(cell), class_=" ".join(classes), **attributes))
    return f"<tr>{''.join(parts)}</tr>"


def _classes(words: Text) -> list[str]:
    return [CLASSES[word] for word in str(words.style).split() if word in CLASSES]


def markup(words: Text) -> str:
    """Words; what is bold in them stays so."""
    parts, end = [], 0
    for span in sorted(words.spans):
        if span.start >= end and str(span.style) == "bold":
            parts += [text(words.plain[end : span.start]),
                      tag("b", text(words.plain[span.start : span.end]))]  # fmt: skip
            end = span.end
    return "".join([*parts, text(words.plain[end:])])


def lines(shown: Group, caption: str, above: str = "") -> str:
    """What a terminal shows, one below the other: sentences and tables. What stands `above`
    already is left out.
    """
    return "".join(part for item in shown.renderables for part in _item(item, caption, above))


def _item(item: RenderableType, caption: str, above: str) -> Iterator[str]:
    if isinstance(item, Grid):
        yield grid(item, caption)
    elif isinstance(item, Text) and item.plain.strip() not in {"", above}:
        classes = _classes(item)
        yield tag("p", markup(item), class_="reading" if "dim" in classes else " ".join(classes))


def over_lengths(series: Series, metric: Metric, order: Sequence[str], caption: str) -> str:
    """The values behind a chart: a row for each variant, a column for each length."""
    return table(_lengths(series), _values(series, metric, order), caption, "sort right pivot")


def _lengths(series: Series) -> Iterator[str]:
    yield tag("th", "variant", scope="col")
    batches = {r.cell.seq: r.cell.setting.batch for r in series.records}
    for seq in series.seqs:
        batch = "" if series.setting.batch else f" × batch {batches[seq]}"
        yield tag("th", text(units.length(seq) + batch), scope="col", class_="num")


def _values(series: Series, metric: Metric, order: Sequence[str]) -> Iterator[str]:
    for label in order:
        cells = [_value(series.find(label, seq), metric) for seq in series.seqs]
        yield f"<tr>{tag('th', text(label), scope='row')}{''.join(cells)}</tr>"


def _value(record: Record | None, metric: Metric) -> str:
    if record is not None and record.failure is not None:
        why = tag("span", text(phrases.REASONS[record.failure.reason]), class_="why")
        return tag("td", why)
    value = phrases.value(record, metric) if record is not None else ""
    spread = phrases.plus_minus(record) if record is not None and metric.timed and value else ""
    content = text(value) + (f" <i>{text(spread)}</i>" if spread else "")
    return tag("td", content, class_="dim" if value.startswith("~") else "")


def heat(series: Series, baseline: str | None, caption: str) -> str:
    """The speed-ups over the baseline, coloured; nothing where there is none."""
    rows = []
    for label, points in speedups.rows(series, baseline):
        cells = []
        for point in points:
            said = text(speedups.words(point))
            failed = isinstance(point, Record)
            content = tag("span", said, class_="why") if failed and said else said
            cells.append(tag("td", content, class_=speedups.colour(point)))
        rows.append(f"<tr>{tag('th', text(label), scope='row')}{''.join(cells)}</tr>")
    return table(_lengths(series), rows, caption, "sort right pivot heat") if rows else ""


def facts(pairs: Mapping[str, str]) -> str:
    """What is known by name, one below the other."""
    items = [
        tag("dt", text(name)) + tag("dd", text(value)) for name, value in pairs.items() if value
    ]
    return tag("dl", "".join(items))


def plain(titles: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table of text."""
    head = [tag("th", text(title), scope="col") for title in titles]
    body = ["<tr>" + "".join(tag("td", text(cell)) for cell in row) + "</tr>" for row in rows]
    return table(head, body, caption, "sort wrap")
