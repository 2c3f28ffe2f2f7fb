"""The man pages are as the commands are, and roff reads nothing in them that is not meant."""

import re
import tomllib
from typing import Any

import pytest
from typer.main import get_command

from benchmarks import man_pages
from effattn_cli import cli

PAGES = man_pages.pages()
COMMANDS: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
MACROS = {".TH", ".SH", ".SS", ".TP", ".PP", ".nh", ".ad"}


def test_the_pages_are_as_the_commands_are() -> None:
    there = {path.name: path.read_text() for path in man_pages.FOLDER.iterdir()}
    assert there == PAGES, "python -m benchmarks.man_pages writes them anew"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_every_option_of_its_command(name: str) -> None:
    page = PAGES[f"effattn-{name}.1"].replace("\\-", "-")
    for parameter in COMMANDS[name].params:
        words = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
        assert f"\\fB{words}" in page
    assert f"effattn-{name}(1)" in PAGES["effattn.1"].replace("\\-", "-")


@pytest.mark.parametrize("name", PAGES)
def test_a_line_begins_a_macro_only_where_one_is_meant(name: str) -> None:
    for line in PAGES[name].splitlines():
        assert line.isascii()
        assert not line.startswith("'")
        assert not line.startswith(".") or line.split()[0] in MACROS
        assert re.fullmatch(r"([^\\]|\\(-|e|&|f[BR]|\(aq|\[u[0-9A-F]{4,5}\]))*", line)
        assert line.count("\\fB") == line.count("\\fR")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("`a-b` of ± [dim]\\[the newest][/]", "\\fBa\\-b\\fR of \\[u00B1] [the newest]"),
        ("'p95<=50ms'", "\\(aqp95<=50ms\\(aq"),
        (".hidden", "\\&.hidden"),
        ("a\\b", "a\\eb"),
    ],
)
def test_words_as_roff_has_them(said: str, text: str) -> None:
    assert man_pages._text(said) == text


def test_the_wheel_puts_them_where_man_looks() -> None:
    project = tomllib.loads((man_pages.ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/man": "share/man/man1"}
