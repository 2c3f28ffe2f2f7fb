"""What is below this process, and how it is ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from effattn_cli.host import processes


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"])
def test_children_are_known_and_ended_with_and_without_a_list_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch, proc: str
) -> None:
    monkeypatch.setattr(processes, "Path", lambda path: Path(str(path).replace("/proc", proc)))
    before = processes.children()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as sleeper:
        assert {*processes.children()} == {*before, sleeper.pid}
        processes.kill_children(spare=before)
        assert processes.children() == before
