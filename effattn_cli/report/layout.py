"""A table that leaves out columns before it cuts text, and in which words may run across columns.

rich's own table can do neither, and a failed cell's reason is a sentence, not a value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import StyleType
from rich.text import Text

from effattn_cli.report.stand_ins import in_ascii

EMPTY = Text()
NARROWEST = 14  # columns that a folded name gets even where there is no room


@dataclass(frozen=True, kw_only=True)
class Column:
    title: str
    right: bool = False
    extra: int = 0  # 1: left out where nothing else helps; 2: where the blanks would get narrow
    tight: bool = False  # belongs to the column before it: one blank between them
    min_width: int = 0  # columns that it gets anyhow, as for words that run across
    folds: int = 0  # lines in place of width: 1 where all else has failed, 2 before that


@dataclass(frozen=True, kw_only=True)
class Row:
    """Cells in the order of the columns; where some are missing, the last one runs across."""

    cells: tuple[Text, ...]
    opens: bool = False  # begins a new group, set off from the rows above


@dataclass(frozen=True)
class Grid:
    columns: Sequence[Column]
    rows: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        grid = self._in_ascii() if options.ascii_only else self
        yield from grid._printed(console, options.max_width)

    def _printed(self, console: Console, room: int) -> RenderResult:
        layout = self._layout(room)
        titles = [Text(self.columns[index].title, "bold") for index in layout.shown]
        yield from layout.lines(titles)
        yield Text("─" * min(layout.width, room), "dim")
        for number, row in enumerate(self.rows):
            if row.opens and number:
                yield Text("")
            if len(row.cells) < len(self.columns):
                yield from layout.across(row.cells, console, room)
            elif layout.fits(room) and not any(cell.spans for cell in row.cells):
                yield from layout.segments(row.cells, console)
            else:
                yield from layout.lines([row.cells[index] for index in layout.shown])

    def _in_ascii(self) -> "Grid":
        """The same with stand-ins, put in before the widths are reckoned: some are longer."""
        columns = [replace(column, title=in_ascii(column.title)) for column in self.columns]
        rows = [
            replace(row, cells=tuple(Text(in_ascii(cell.plain), cell.style) for cell in row.cells))
            for row in self.rows
        ]
        return Grid(columns, rows)

    def _layout(self, room: int) -> "_Layout":
        """The first of ever tighter layouts that fits; else the last, its names folded."""
        for hidden in self._sacrifices():
            luxuries = any(c.extra == 2 for i, c in enumerate(self.columns) if i not in hidden)
            for gap in (2,) if luxuries else (2, 1):
                layout = self._plan(hidden, gap)
                if layout.width <= room:
                    return layout
            if not luxuries and (folded := layout.folded(room, 2)).width <= room:
                return folded
        return layout.folded(room, 1)

    def _sacrifices(self) -> Iterator[set[int]]:
        """Which columns to leave out: none, then ever more, the last of the least first."""
        order = sorted(range(len(self.columns)), key=lambda i: (-self.columns[i].extra, -i))
        extras = [index for index in order if self.columns[index].extra]
        for number in range(len(extras) + 1):
            yield set(extras[:number])

    def _plan(self, hidden: set[int], gap: int) -> "_Layout":
        shown = [index for index in range(len(self.columns)) if index not in hidden]
        widths = [
            max(self.columns[index].min_width, *map(cell_len, self._texts(index)))
            for index in shown
        ]
        gaps = [1 if self.columns[index].tight else gap for index in shown]
        return _Layout(self.columns, shown, widths, [0, *gaps[1:]])

    def _texts(self, index: int) -> Iterator[str]:
        yield self.columns[index].title
        for row in self.rows:
            across = len(row.cells) < len(self.columns) and index >= len(row.cells) - 1
            if not across:
                yield row.cells[index].plain


@dataclass(frozen=True)
class _Layout:
    columns: Sequence[Column]
    shown: list[int]
    widths: list[int]
    gaps: list[int]  # before each column
    is_folded: bool = False  # texts may be wider than their column

    def fits(self, room: int) -> bool:
        """Whether every row takes one line."""
        return self.width <= room and not self.is_folded

    @property
    def width(self) -> int:
        return sum(self.widths) + sum(self.gaps)

    def folded(self, room: int, urgency: int) -> "_Layout":
        """The same, with the columns that may fold by now as narrow as needed."""
        widths, excess = list(self.widths), self.width - room
        for index in reversed(range(len(widths))):
            if self.columns[self.shown[index]].folds >= urgency:
                given = min(excess, max(0, widths[index] - NARROWEST))
                widths[index] -= given
                excess -= given
        return _Layout(self.columns, self.shown, widths, self.gaps, is_folded=True)

    def segments(self, cells: Sequence[Text], console: Console) -> Iterator[Segment]:
        """The one line of a row that fits, for speed without what rich does to a text."""
        pieces: list[tuple[str, StyleType]] = []
        for index, column in enumerate(self.shown):
            before, after = self._blanks(index, cells[column])
            pieces += [(before, ""), (cells[column].plain, cells[column].style), (after, "")]
        while pieces and not pieces[-1][0].strip(" "):
            pieces.pop()
        for plain, style in pieces:
            yield Segment(plain, console.get_style(style) if style else None)
        yield Segment.line()

    def lines(self, cells: Sequence[Text]) -> Iterator[Text]:
        """The lines of a row; `cells` are those of the first columns, or of all."""
        folded = [_fold(cell, width) for cell, width in zip(cells, self.widths, strict=False)]
        for number in range(max(map(len, folded))):
            line = Text()
            for index, parts in enumerate(folded):
                text = parts[number] if number < len(parts) else EMPTY
                before, after = self._blanks(index, text)
                line.append(before).append_text(text).append(after)
            line.rstrip()
            yield line

    def across(self, cells: Sequence[Text], console: Console, room: int) -> Iterator[Text]:
        """The lines of a row whose last cell takes all the room that is left."""
        *before, message = cells
        first = [cell for column, cell in enumerate(before) if column in self.shown]
        places = len(first)
        start = sum(self.widths[:places]) + sum(self.gaps[: places + 1])
        words = message.wrap(console, max(NARROWEST, room - start))
        names = list(self.lines(first))
        for number in range(max(len(words), len(names))):
            line = names[number] if number < len(names) else Text()
            if number < len(words):
                line.append(" " * (start - line.cell_len)).append_text(words[number])
            line.rstrip()
            yield line

    def _blanks(self, index: int, text: Text) -> tuple[str, str]:
        """What stands before and behind the text of a column."""
        gap, blanks = " " * self.gaps[index], " " * (self.widths[index] - text.cell_len)
        right = self.columns[self.shown[index]].right
        return (gap + blanks, "") if right else (gap, blanks)


def _fold(cell: Text, width: int) -> list[Text]:
    """The text in lines of `width`, broken at a blank or behind punctuation where there is any."""
    if cell.cell_len <= width:
        return [cell]
    lines = [""]
    for word in re.findall(r"[^:, -]*[:, -]|[^:, -]+", cell.plain):
        if cell_len((lines[-1] + word).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
        while cell_len(lines[-1]) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [Text(line.strip(), cell.style) for line in lines]
