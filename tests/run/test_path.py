"""No file of the present folder is imported, whatever its name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import effattn_cli
from tests.running import PLAIN

ROOT = str(Path(effattn_cli.__file__).parents[1])
SWEEP = "profile -v linformer -s 64 --dim 64 --heads 2 --rounds 1 -q --json -o p.yaml".split()


def installed(*words: str, cwd: Path, path: str = ROOT) -> "subprocess.CompletedProcess[str]":
    """The command as an installed script runs it: the present folder is not on its path."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "effattn_cli", *words], cwd=cwd, check=False, timeout=240,
        capture_output=True, text=True, env=os.environ | PLAIN | {"PYTHONPATH": path},
    )  # fmt: skip


@pytest.mark.in_ci
def test_files_of_the_present_folder_are_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name in ("profile", "json", "random", "select", "torch", "effattn_cli/__init__"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(marker)!r}, 'a').write({name!r})\n")
    ended = installed(*SWEEP, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert not marker.exists()
    assert all(record["runs"] for record in json.loads(ended.stdout)["records"])


@pytest.mark.parametrize("error", ["ImportError('libtorch.so: no such file')", "SystemExit(1)"])
def test_what_keeps_the_measuring_process_from_starting_is_told(tmp_path: Path, error: str) -> None:
    (tmp_path / "torch.py").write_text(f"raise {error}\n")
    ended = installed(*SWEEP, cwd=tmp_path, path=f"{tmp_path}{os.pathsep}{ROOT}")
    assert ended.returncode == 4
    first, hint = ended.stderr.splitlines()[-2:]
    why = ": ImportError: libtorch.so: no such file" if "Import" in error else ""
    assert first == f"error: the measuring process cannot start{why}"
    assert hint == "hint: does `import torch` work?"
