"""docs/ci.md: its workflow, step by step as GitHub's shell would run it, and its commands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from effattn_cli import store
from tests.builders import a_cell, a_profile, measured
from tests.running import effattn

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
#: What a step of the workflow needs that is not here, or that tests must not do.
LEFT_OUT = "Install"


def steps() -> dict[str, str]:
    """The shell commands of the workflow, by the name of their step."""
    (job,) = WORKFLOW["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


class Runner:
    """A checkout of a pull request, and a shell that has `effattn`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.summary = folder / "summary.md"
        programs = folder / "bin"
        for each in (self.folder, programs):
            each.mkdir()
        command = programs / "effattn"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m effattn_cli "$@"\n')
        command.chmod(0o755)
        self.variables = os.environ | WORKFLOW["env"] | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder / "data"),
            "GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(self.summary),
            "LENGTHS": "64,128", "ROUNDS": "3",
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
        }  # fmt: skip

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """As a step does: the first command that fails ends it."""
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=self.folder, env=self.variables,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def commit(self) -> None:
        who = "-c user.name=a -c user.email=a@b"
        for script in ("git init -q", "git add -A", f"git {who} commit -qm one",
                       "git update-ref refs/remotes/origin/main HEAD"):  # fmt: skip
            done = self.run(script)
            assert done.returncode == 0, done.stderr


def errors(told: str) -> set[str]:
    """The metrics of the limits that annotations say are broken."""
    return set(re.findall(r"^::error title=effattn%3A (\w+)>", told, re.MULTILINE))


@pytest.mark.slow
def test_the_steps_of_the_workflow(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    assert runner.run("effattn new my_attention").returncode == 0
    runner.commit()
    ran: dict[str, Any] = {}
    for name, script in steps().items():
        if name != LEFT_OUT:
            ran[name] = runner.run(script)
            allowed = {0, 1} if name == "Gate" else {0}
            assert ran[name].returncode in allowed, f"{name}: {ran[name].stderr}"
    gate = ran["Gate"]
    assert errors(gate.stdout) <= {"latency"}  # nothing changed, but the machine is not ours alone
    assert "gate: flops>1%: kept by 2 cells" in gate.stderr
    assert runner.summary.read_text().startswith("### effattn compare")

    path = runner.folder / "my_attention.py"
    before = path.read_text()
    after = before.replace(
        "        return q_BHTK.sigmoid()",
        "        above = above + 0 * (q_BHTK @ k_BHTK.mT).sum(-1, keepdim=True)\n"
        "        return q_BHTK.sigmoid()",
    )
    assert after != before
    path.write_text(after)
    (runner.folder / "attention.yaml").unlink()
    for name in ("Measure both in turn", "Summarise"):
        assert runner.run(steps()[name]).returncode == 0
    gate = runner.run(steps()["Gate"])
    assert gate.returncode == 1
    assert "flops" in errors(gate.stdout)
    assert "gate: flops&#62;1%: broken by 2 of 2 cells" in runner.summary.read_text()


@pytest.mark.parametrize("typed", re.findall(r"^effattn compare .*", PAGE, re.MULTILINE))
def test_the_commands_that_compare(typed: str, tmp_path: Path) -> None:
    for name in ("old", "new", "main"):
        cells = [measured(a_cell(seq=seq), 1.0) for seq in (64, 128)]
        store.Writer(tmp_path / f"{name}.yaml").write(a_profile(*cells))
    found = effattn(*shlex.split(typed)[1:], cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert len(re.findall("^gate: .* kept by 2 cells$", found.stderr, re.MULTILINE)) == 2
