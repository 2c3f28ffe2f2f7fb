"""A page taken apart: its elements, its tables, and whatever could load or run something."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "input", "img", "link"}


@dataclass
class Table:
    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)

    def row(self, first: str) -> list[str]:
        """The cells behind the first one."""
        return next(row[1:] for row in self.rows if row[0] == first)


class Page(HTMLParser):
    """Checks that elements close in the order in which they open."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[Table] = []
        self.text = ""  # what is read, without style and script
        self.code = ""  # style and script
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, beginning: str) -> Table:
        return next(table for table in self.tables if table.caption.startswith(beginning))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)  # none is given twice
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in {"td", "th"}:
            self.tables[-1].rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"style", "script"}:
            self.code += data
        else:
            self.text += data
        if "caption" in self._open:
            self.tables[-1].caption += data
        elif "td" in self._open or ("th" in self._open and self.tables):
            self.tables[-1].rows[-1][-1] += data
