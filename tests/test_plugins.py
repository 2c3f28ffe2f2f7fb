"""Plugins from everywhere: functions, folders, installed packages."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

import effattn_cli
from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Card, variant
from effattn_cli.catalog import Catalog
from tests.running import PLAIN, effattn

CARD = Card(
    title="Running mean", families=("own",), paper="", year=2026, time="N", memory="N",
    causal="optional", kind="own mechanism",
)  # fmt: skip
FUNCTION = '''
"""A running mean."""

from effattn_cli.attention import Card, variant

@variant(card=Card(title="Mine", families=("own",), paper="", year=2026, time="N", memory="N",
                   causal="never", padding=False, kind="own mechanism"))
def mine(q, k, v):
    """Every token receives the mean of all values."""
    return v.mean(2, keepdim=True).expand_as(q)
'''


@variant(card=CARD)
def running_mean(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: torch.Tensor | None, causal: bool
) -> torch.Tensor:
    """Every token receives a gated mean of the values."""
    weights = k.sigmoid() if valid is None else k.sigmoid() * valid[:, None, :, None]
    if causal:
        above, below = (weights * v).cumsum(2), weights.cumsum(2)
    else:
        above, below = (weights * v).sum(2, keepdim=True), weights.sum(2, keepdim=True)
    return q.sigmoid() * above / below.masked_fill(below == 0, 1)


@pytest.mark.parametrize("law", laws.LAWS)
def test_a_decorated_function_is_a_variant_like_any_other(law: str) -> None:
    laws.LAWS[law](running_mean)


def test_the_class_of_a_function_tells_where_it_comes_from() -> None:
    assert issubclass(running_mean, Attention)
    assert running_mean.card is CARD
    assert running_mean.__name__ == "running_mean"
    assert running_mean.__module__ == __name__
    assert running_mean.__doc__ == "Every token receives a gated mean of the values."
    assert running_mean.options() == ()


def test_a_function_is_read_without_importing_it_and_loaded_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FUNCTION + "\nprint(undefined)\n")
    found = Catalog([path]).variant("mine")
    assert found.summary == "Every token receives the mean of all values."
    assert (found.card.title, found.decode, found.options) == ("Mine", False, ())
    path.write_text(FUNCTION)
    layer = laws.make(catalog.load("mine", path), 8)
    q, v = torch.randn(2, 1, 4, 8, 16)
    torch.testing.assert_close(layer.attend(q, q, v), v.mean(2, keepdim=True).expand_as(q))


def installed(python: str, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The command in another environment."""
    environment = os.environ | PLAIN | variables
    return subprocess.run(
        [python, "-m", "effattn_cli", *words],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip


SHAPE = ["-s", "64", "--dim", "64", "--heads", "2", "--rounds", "1", "--quiet", "--json"]


def test_broken_ones_are_listed_and_harm_only_who_asks_for_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FUNCTION)
    (tmp_path / "worse.py").write_text(FUNCTION.replace("2026", "date.today().year"))
    (tmp_path / "worst.py").write_bytes(b"\xff\x00")
    plugin = ["--plugin", str(tmp_path)]
    listing = effattn("variants", *plugin, COLUMNS="300")
    assert listing.returncode == 0
    line = {
        words[0]: " ".join(words)
        for words in map(str.split, listing.stdout.splitlines()[1:])
        if words
    }
    assert line["mine"].endswith(str(tmp_path))
    assert line["linformer"].endswith("bundled")
    assert "broken: " in line["worse"]
    assert "'date.today().year' in line 6 is not literal: write the value itself" in line["worse"]
    assert "broken: " in line["worst"]
    asked = effattn("profile", "-v", "worse", *plugin)
    assert (asked.returncode, asked.stdout) == (2, "")
    (error,) = asked.stderr.splitlines()
    assert "worse.py: 'date.today().year' in line 6 is not literal" in error
    swept = effattn(
        "profile", "-v", "family:own", *plugin, *SHAPE, "--out", str(tmp_path / "p.yaml")
    )
    assert swept.returncode == 0, swept.stderr
    assert {r["cell"]["variant"] for r in json.loads(swept.stdout)["records"]} == {"mine", "sdpa"}


BACKEND = '''
"""A build backend that needs nothing: a wheel is a zip file."""
import zipfile
from pathlib import Path

def build_wheel(folder, *_, **__):
    name = "someones_variants-1.2-py3-none-any.whl"
    about = "someones_variants-1.2.dist-info"
    files = {
        "METADATA": ["Metadata-Version: 2.1", "Name: someones-variants", "Version: 1.2"],
        "WHEEL": ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"],
        "entry_points.txt": ["[effattn.variants]", "someones = someones.mean",
                             "gone = someones.gone"],
        "RECORD": [],
    }
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for path in sorted(Path("someones").glob("*.py")):
            wheel.write(path)
        for path, lines in files.items():
            wheel.writestr(f"{about}/{path}", "".join(line + "\\n" for line in lines))
    return name
'''
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.mark.slow
def test_an_installed_package_brings_variants(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "someones").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "backend.py").write_text(BACKEND)
    (source / "someones" / "__init__.py").write_text("")
    (source / "someones" / "_parts.py").write_text(
        "def mean(v):\n    return v.mean(2, keepdim=True)\n"
    )
    text = FUNCTION.replace("v.mean(2, keepdim=True)", "mean(v)")
    (source / "someones" / "mean.py").write_text(
        text.replace("import Card, variant", "import Card, variant\nfrom ._parts import mean")
    )
    python = _environment(tmp_path / "env")
    pip = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--disable-pip-version-check", str(source)], check=True, timeout=120)

    listing = installed(python, "variants", COLUMNS="300")
    (line,) = [line for line in listing.stdout.splitlines() if line.startswith("someones ")]
    assert line.rstrip().endswith("someones-variants 1.2")
    (gone,) = [line for line in listing.stdout.splitlines() if line.startswith("gone ")]
    assert "broken: someones/gone.py" in gone
    out = ["--out", str(tmp_path / "p.yaml")]
    swept = installed(python, "profile", "-v", "someones", *SHAPE, *out)
    assert swept.returncode == 0, swept.stderr
    document = json.loads(swept.stdout)
    assert {r["cell"]["variant"] for r in document["records"]} == {"someones", "sdpa"}
    assert all(record["runs"] for record in document["records"])
    assert document["variants"]["someones"]["origin"] == "someones-variants 1.2"
    checked = installed(python, "check", "someones")
    assert "raised" not in checked.stdout


def _environment(folder: Path) -> str:
    """A fresh environment that sees the packages of this one, so that torch is not fetched."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = str(folder / "bin" / "python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.check_output([python, "-c", code], text=True).strip()
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    root = str(Path(effattn_cli.__file__).parents[1])
    Path(packages, "outer.pth").write_text("\n".join([root, *sorted(seen)]))
    return python
