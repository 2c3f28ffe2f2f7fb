"""What stands where an encoding lacks a sign."""

import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from effattn_cli.report import stand_ins
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.stand_ins import in_ascii


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("12.1 µs ±5 %", "12.1 us +-5 %"), ("1 … 2", "1 ... 2"), ("─│├└", "-|++"),
        ("Nyström", "Nystrom"), ("注意", "\\u6ce8\\u610f"), ("plain", "plain"), ("⠋█", "##"),
    ],
)  # fmt: skip
def test_no_sign_becomes_a_question_mark(text: str, written: str) -> None:
    assert in_ascii(text) == written
    stand_ins.register()
    assert text.encode("ascii", stand_ins.NAME).decode() == written


def test_a_latin_encoding_keeps_the_signs_that_it_has() -> None:
    stand_ins.register()
    assert "±5 µs…".encode("latin-1", stand_ins.NAME).decode("latin-1") == "±5 µs..."


def test_columns_stand_under_each_other_where_a_stand_in_is_longer() -> None:
    columns = [Column(title="min … max"), Column(title="next")]
    rows = [Row(cells=(Text(text), Text("x"))) for text in ("±1 %", "1 … 2", "plain")]
    with Path(os.devnull).open("w", encoding="ascii") as file:
        console = Console(file=file, width=40)
        lines = console.render_lines(Grid(columns, rows), console.options)
    shown = [in_ascii("".join(part.text for part in line)).rstrip() for line in lines]
    assert shown == [
        "min ... max  next",
        "-----------------",
        "+-1 %        x",
        "1 ... 2      x",
        "plain        x",
    ]
