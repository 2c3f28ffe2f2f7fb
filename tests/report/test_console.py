"""A file gets all columns; a terminal what it has room for."""

import io

import pytest
from rich.console import Console

from effattn_cli.report.console import PIPED, print_profile, stdout
from tests.builders import a_cell, a_profile, measured


def test_what_is_piped_is_as_wide_as_all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert stdout().width == PIPED
    monkeypatch.setenv("COLUMNS", "70")
    assert stdout().width == 70


def test_a_file_has_every_column_of_a_profile() -> None:
    text = io.StringIO()
    print_profile(a_profile(measured(a_cell(), 1e-3)), Console(file=text, width=PIPED))
    assert all(word in text.getvalue() for word in ("GFLOP/s", "tokens/s", "min … max"))
