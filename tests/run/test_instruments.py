"""An instrument never fails a cell, and what it cannot know it does not call zero."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.running import effattn

PLUGINS = Path(__file__).parent.parent / "plugins"


def profiled(tmp_path: Path, name: str, *words: str) -> tuple[dict[str, Any], str]:
    """The record of a plugin, and what is said of the profile."""
    path = tmp_path / "p.yaml"
    found = effattn(
        "profile", "--plugin", str(PLUGINS / f"{name}.py"), "-v", name.replace("_", "-"),
        "-s", "256", "--baseline", "none", "--rounds", "1", "--threads", "1", "-q",
        "--out", str(path), *words,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    shown = effattn("show", str(path), "--json")
    (record,) = json.loads(shown.stdout)["records"]
    return record, found.stdout


@pytest.mark.in_ci
@pytest.mark.parametrize(
    ("name", "phase", "why"),
    [
        ("custom_operator", "forward", "it calls effattn_tests::mix, whose work is not known"),
        ("flex", "forward", "it calls flex_attention, whose work is not known"),
        ("data_dependent", "train", "_local_scalar_dense"),
    ],
)
def test_a_cell_that_modes_cannot_follow_is_measured_without_a_count(
    tmp_path: Path, name: str, phase: str, why: str
) -> None:
    record, shown = profiled(tmp_path, name, "--phase", phase)
    assert record["failure"] is None
    assert record["runs"]
    assert record["cost"] is None
    (warning,) = [text for text in record["warnings"] if "could not be counted" in text]
    assert why in warning
    assert f"256: {warning}" in " ".join(shown.split())
