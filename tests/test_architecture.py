"""The page on the house says what the house is."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
PACKAGE = ROOT / "effattn_cli"


def table_of(heading: str) -> list[list[str]]:
    """The cells of the rows of the table below a heading."""
    text = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_layers_are_those_of_the_import_rules() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(rule["layers"] for rule in rules["contracts"] if rule["type"] == "layers")
    told = [re.findall(r"`(\w+)`", names) for names, _ in table_of("What is where")]
    assert told == [layer.split(" | ") for layer in layers]


def test_every_module_stands_in_the_table() -> None:
    told = {
        name for names, _ in table_of("What is where") for name in re.findall(r"`(\w+)`", names)
    }
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    there |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert told == there - {"__init__", "variants"}


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_is_there(page: str) -> None:
    named = re.findall(r"`([\w/.]+/[\w.]*)`", (ROOT / page).read_text())
    known = [path for path in named if "NAME" not in path]
    assert known
    for path in known:
        assert any(
            (base / path).exists() or (base / f"{path}.py").exists() for base in (ROOT, PACKAGE)
        )
