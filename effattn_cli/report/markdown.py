"""Tables as Markdown, for a pull request or a document."""

import re
from collections.abc import Iterator, Mapping

from effattn_cli.analyse.compare import Comparison
from effattn_cli.report import comparison
from effattn_cli.report.comparison import Block


def compared(found: Mapping[str, Comparison], *, old: str, all: bool) -> str:
    """What `effattn compare` tells, the tables of cells folded away."""
    lines = ["### effattn compare", "", *map(_list, comparison.opening(found, old))]
    for block in comparison.blocks(found, all=all):
        lines += ["", *(_folded(block) if block.folds else titled(block))]
    closing = [_list(line) for line in comparison.closing(found, all=all)]
    return "\n".join([*lines, "", *closing])


def titled(block: Block) -> list[str]:
    return [f"**{text(block.title)}**", "", *table(block)]


def table(block: Block) -> Iterator[str]:
    """Its lines; what Markdown or HTML would take for markup is escaped."""
    yield f"| {' | '.join(text(column.title) for column in block.columns)} |"
    yield f"|{'|'.join('--:' if column.right else '---' for column in block.columns)}|"
    for row in block.rows:
        yield f"| {' | '.join(text(cell.plain) for cell in row.cells)} |"


def text(words: str) -> str:
    """Words as they are, whatever signs are in them."""
    return re.sub(r"([\\`*_\[\]|<>#~@])", lambda found: f"&#{ord(found[1])};", words)


def _list(line: str) -> str:
    return f"{'  ' * line.startswith('  ')}- {text(line.strip())}"


def _folded(block: Block) -> Iterator[str]:
    yield f"<details><summary>{text(block.title)}</summary>"
    yield ""
    yield from table(block)
    yield ""
    yield "</details>"
