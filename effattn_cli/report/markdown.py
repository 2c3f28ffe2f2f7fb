"""Tables as Markdown, for a pull request or a document."""

import re
from collections.abc import Iterator, Mapping

from effattn_cli.analysis.compare.comparison import Comparison
from effattn_cli.report.compare import comparison_view, gate_phrases
from effattn_cli.report.compare.gate_phrases import Outcomes
from effattn_cli.report.layout import Grid


def compared(
    comparisons: Mapping[str, Comparison], outcomes: Outcomes, *, old: str, all: bool
) -> str:
    """What `effattn compare` tells, the tables of cells folded away; the gate comes first."""
    gate = [_list(line) for line in gate_phrases.lines(outcomes, comparisons)]
    opening = map(_list, comparison_view.opening(comparisons, old))
    lines = ["### effattn compare", "", *gate, *opening]
    for block in comparison_view.blocks(comparisons, all=all):
        lines += ["", *(folded if block.folds else titled)(block.title, block.grid)]
    closing = [_list(line) for line in comparison_view.closing(comparisons, all=all)]
    return "\n".join([*lines, "", *closing])


def titled(title: str, grid: Grid) -> list[str]:
    return [f"**{text(title)}**", "", *_table(grid)]


def folded(title: str, grid: Grid) -> list[str]:
    """Closed until somebody opens it."""
    summary = f"<details><summary>{text(title)}</summary>"
    return [summary, "", *_table(grid), "", "</details>"]


def _table(grid: Grid) -> Iterator[str]:
    """Its lines; a row whose last cell runs across keeps that cell in its column."""
    yield f"| {' | '.join(text(column.title) for column in grid.columns)} |"
    yield f"|{'|'.join('--:' if column.right else '---' for column in grid.columns)}|"
    for row in grid.rows:
        blanks = [""] * (len(grid.columns) - len(row.cells))
        yield f"| {' | '.join([*(text(cell.plain) for cell in row.cells), *blanks])} |"


def text(words: str) -> str:
    """Words as they are, whatever signs are in them."""
    return re.sub(r"([\\`*_\[\]|<>#~@])", lambda match: f"&#{ord(match[1])};", words)


def _list(line: str) -> str:
    return f"{'  ' * line.startswith('  ')}- {text(line.strip())}"
