"""Every command that README.md and docs/ show is run as it stands there.

A command that needs a measuring process (it would count or measure, and load torch) or another
machine is stopped where it asks for one: by then its options, variants, models, ranges and files
have been read, and its sweep is planned. All others run to their end.
"""

import json
import random
import re
import shlex
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from effattn_cli import store, targets
from effattn_cli.errors import EffattnError
from effattn_cli.targets import Target, find
from effattn_cli.targets.ssh import Ssh
from tests import running
from tests.running import effattn

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STOPPED = 77  # exit code of a command that was stopped before it measured
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
MEASURING = (
    "profile",
    "devices",
    "check",
    "evaluate",
    "export-model",
)  # what may end at a measuring process

#: Files that examples write.
MADE = {
    "policy.yaml",
    "layout.yaml",
    "all.yaml",
    "report.html",
    "limits.html",
    "latency.svg",
}

#: Files that examples read; another one may write them.
INPUTS = {"two.yaml", "old.yaml", "new.yaml", "main.yaml", "both.yaml", "engines.yaml"}

MIXER = """
from torch import nn


class Mixer(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        return self.out(x)
"""


class Stopped(EffattnError):
    """Here the command would have measured."""

    exit_code = STOPPED


@dataclass(frozen=True)
class Example:
    """A command as a page shows it."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """As a shell hands them over, without a comment."""
        return shlex.split(self.line, comments=True)[1:]


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


def examples() -> list[Example]:
    return [
        Example(page.name, line)
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("effattn ")
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the examples take for granted: two saved profiles, files, and modules."""
    here = tmp_path_factory.mktemp("examples")
    shipped = ROOT / "profiles" / "epyc-zen5-2-threads-linformer.yaml"
    data = here / "data"
    saved = data / "effattn" / "profiles"
    saved.mkdir(parents=True)
    for path in (saved / "one.yaml", saved / "two.yaml", here / "one.yaml"):
        shutil.copy(shipped, path)
    for name in ("two", "old", "new", "main"):
        shutil.copy(shipped, here / f"{name}.yaml")
    sides = shipped.read_text().replace("sdpa", "before").replace("linformer", "after")
    (here / "both.yaml").write_text(sides)
    gated = next(text for text in blocks(ROOT / "docs" / "plugins.md", "python") if "@var" in text)
    for name in ("gated_mean", "before", "after"):
        (here / f"{name}.py").write_text(gated)
    (here / "mixers.py").write_text(MIXER)
    package = here / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mixers.py").write_text(MIXER)
    for name in ("fleet", "shards"):
        (here / name).mkdir()
        shutil.copy(shipped, here / name / "epyc.yaml")
    other = shipped.read_text().replace("cpu: AMD EPYC", "cpu: Intel(R) Xeon(R) Platinum 8488C")
    (here / "fleet" / "c7i.yaml").write_text(other)
    (here / "prices.yaml").write_text(blocks(ROOT / "docs" / "many-machines.md", "yaml")[0])
    _by_two_engines(shipped, here / "engines.yaml")
    (here / "sweep.yaml").write_text("seq: 1k..4k\nvariant: [linformer]\n")
    (here / "qkv.safetensors").write_bytes(_tensors())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(data))
        patch.setenv("PYTHONPATH", str(here))
        patch.syspath_prepend(str(here))
        yield here


def _by_two_engines(path: Path, out: Path) -> None:
    """A profile with each of its cells under a second engine, too."""
    profile = store.read(path)
    records = [
        replace(one, cell=replace(one.cell, setting=replace(one.cell.setting, engine=engine)))
        for engine in ("eager", "onnxruntime")
        for one in profile.records
    ]
    store.Writer(out).write(replace(profile, records=tuple(records)))


def _tensors() -> bytes:
    """Queries, keys and values of two heads, in the format of safetensors."""
    count = 2 * 64 * 16
    head = {
        name: {
            "dtype": "F32",
            "shape": [2, 64, 16],
            "data_offsets": [4 * count * place, 4 * count * (place + 1)],
        }
        for place, name in enumerate("qkv")
    }
    text = json.dumps(head).encode()
    drawn = random.Random(0)
    values = struct.pack(f"<{3 * count}f", *(drawn.gauss(0, 1) for _ in range(3 * count)))
    return struct.pack("<Q", len(text)) + text + values


def stop(*_: object) -> NoReturn:
    raise Stopped("stopped before measuring")


def found_or_stop(text: str, folder: Path, shards: int | None = None) -> Target:
    """A target that needs what is not on every machine is not looked for."""
    return find(text, folder, shards) if text.startswith("ssh:") else stop()


@pytest.mark.parametrize("example", examples(), ids=lambda one: f"{one.page}: {one.line[8:70]}")
def test_a_command_does_what_the_page_says(
    example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running._Shared, "run", stop)
    monkeypatch.setattr(Ssh, "places", stop)
    monkeypatch.setattr(targets, "find", found_or_stop)
    written = {after for word, after in pairwise(example.words) if word in {"-o", "--out"}}
    before = {folder / name: (folder / name).read_bytes() for name in written & INPUTS}
    for made in MADE.intersection(example.words) | {"my_variant.py"} | written:
        (folder / made).unlink(missing_ok=True)
    found = effattn(*example.words, cwd=folder)
    for path, content in before.items():  # another example reads it
        path.write_bytes(content)
    live = example.words[0] in MEASURING or example.line.startswith("effattn crossover -v")
    allowed = {STOPPED} if live or "--survey" in example.words else {0}
    if "--resume" in example.words:
        allowed |= {0}  # nothing is left to measure
    if "--prefill" in example.words:
        allowed = {1}  # no part of the model is measured here
    if "nobody" in example.words:
        allowed = {2}  # it shows an error
    assert found.returncode in allowed, found.stdout + found.stderr


def test_limits_are_quoted() -> None:
    """An unquoted < or > is the shell's."""
    for one in examples():
        for word in shlex.split(one.line, posix=False, comments=True):
            assert not re.search(r"[<>!]", word) or word[0] in "'\"", one


def test_an_unquoted_limit_has_a_hint(folder: Path) -> None:
    found = effattn("compare", "one.yaml", "two.yaml", "--fail-if", "latency", cwd=folder)
    assert (found.returncode, "quote it" in found.stderr) == (2, True)
    found = effattn("choose", "one.yaml", "--latency", "p95", "-s", "1k", cwd=folder)
    assert (found.returncode, "quote it" in found.stderr) == (2, True)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"])
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 1000


def test_the_model_answer_in_the_readme_is_what_is_printed(folder: Path) -> None:
    text = (ROOT / "README.md").read_text()
    asked, *lines = text.split("<!-- choose model -->\n```\n")[1].split("```")[0].splitlines()
    found = effattn(*asked.removeprefix("$ effattn ").split(), cwd=folder)
    assert [line.rstrip() for line in found.stdout.splitlines()] == lines
