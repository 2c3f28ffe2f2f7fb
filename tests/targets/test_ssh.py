"""A sweep over ssh, with a client that runs the command here."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from effattn_cli import __version__, store
from effattn_cli.app import supervisor
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile
from effattn_cli.report.documents import kinds
from effattn_cli.targets import ssh
from tests.json_schema import faults
from tests.marked import marking, running
from tests.running import MODULE, Ended, effattn
from tests.targets.far import HERE, LONG, ROUNDS, SWEEP, WHOLE, Far, profiles, sweep_of

#: Once, the link is cut as soon as the profile has come to hold a run.
CUT = """
case "$script" in *carry-out*) ;; *) {here} ;; esac
if [ -e "$FAR_HOME/cut" ]; then {here} fi
mkfifo "$FAR_HOME/up"
({here}) <&0 > "$FAR_HOME/up" &
runs=0
while IFS= read -r line; do
  printf '%s\\n' "$line"
  case "$line" in *grown*) runs=$((runs + 1)) ;; esac
  if [ $runs -ge 4 ]; then
    touch "$FAR_HOME/cut"; kill -9 $!; echo "the cable is cut" >&2; exit 255
  fi
done < "$FAR_HOME/up"
""".replace("{here}", f"{HERE.strip()};")


def on(far: Far, *words: str, cwd: Path, target: str = "ssh:far") -> Ended:
    return effattn(*words, "--on", target, cwd=cwd, **far.variables)


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path / "far")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("a", [("a",)]),
        ("me@a:2222,b", [("-p", "2222", "me@a"), ("b",)]),
        ("[::1]:22,me@[fe80::1]", [("-p", "22", "::1"), ("me@fe80::1",)]),
    ],
)
def test_hosts_are_read(rest: str, words: list[tuple[str, ...]], tmp_path: Path) -> None:
    target = ssh.target(rest, tmp_path, None)
    assert [host.words for host in target._hosts.values()] == words


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("", "no host is named"),
        ("-oProxyCommand=x", "'-oProxyCommand=x' is no host"),
        ("me@-x", "'me@-x' is no host"),
        ("a:b", "'a:b' is no host"),
        ("a b", "'a b' is no host"),
        ("a,b,a", "'a' is named twice"),
    ],
)
def test_what_is_no_host_is_refused(rest: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        ssh.target(rest, tmp_path, None)


@pytest.mark.in_ci
def test_a_sweep_is_measured_there_and_comes_back(far: Far, tmp_path: Path) -> None:
    found = on(far, *SWEEP, "-o", "out", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert re.search(r"^\[far\] linformer:rank=16 seq 64: .*/\d+\)$", found.stderr, re.MULTILINE)
    assert found.stderr.endswith("saved: out/far.yaml\n")
    assert "effattn-profile.yaml" not in found.stderr
    assert "sdpa" in found.stdout
    profile = profiles(tmp_path / "out")["far"]
    assert sweep_of(profile) == WHOLE
    assert profile.finished
    assert profile.command.endswith("--on ssh:far")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["far.yaml"]
    assert list(far.home.iterdir()) == []


def test_a_plan_says_what_would_run_where(far: Far, tmp_path: Path) -> None:
    words = ["--dry-run", "-o", "out"]
    found = on(far, *SWEEP, *words, cwd=tmp_path, target="ssh:a,b")
    assert found.returncode == 0
    assert re.search(rf"^a +effattn {__version__} +effattn profile --config", found.stdout, re.M)
    assert "4 cells in all; profiles go to out" in found.stdout
    told = json.loads(on(far, *SWEEP, *words, "--json", cwd=tmp_path, target="ssh:a,b").stdout)
    assert [worker["name"] for worker in told["workers"]] == ["a", "b"]
    assert (told["cells"], told["profiles"]) == (4, [])
    assert not (tmp_path / "out").exists()


def test_another_version_is_one_line(far: Far, tmp_path: Path) -> None:
    far.has("effattn", "echo effattn 0.0.9\n")
    found = on(far, *SWEEP, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr == (
        f"error: far: {far.programs}/effattn is effattn 0.0.9, and {__version__} runs here\n"
        "hint: install the same version on both machines\n"
    )


@pytest.mark.parametrize(
    ("python", "why", "hint"),
    [
        (None, "far: effattn is not installed, and there is no Python 3.11", "install Python"),
        ("echo python-is old", "far: effattn is not installed, and there is no", "install Python"),
        (
            "echo python-is bare",
            "far: neither effattn nor torch is installed",
            "ssh far python3 -m pip install torch",
        ),
    ],
)
def test_what_is_missing_there_is_said(
    python: str | None, why: str, hint: str, tmp_path: Path
) -> None:
    far = Far(tmp_path / "far", effattn=False)
    far.hide_python()
    if python is not None:
        far.has("python3", f"{python}\n")
    found = on(far, *SWEEP, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith(f"error: {why}")
    assert f"hint: {hint}" in found.stderr


def test_a_host_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    far = Far(tmp_path / "far", "echo 'ssh: connect to host far port 22: refused' >&2; exit 255\n")
    found = on(far, *SWEEP, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr == (
        "error: far: ssh: connect to host far port 22: refused\n"
        "hint: ssh far true  should work without a password\n"
    )
    far.variables["EFFATTN_SSH"] = str(tmp_path / "nothing")
    found = on(far, *SWEEP, cwd=tmp_path)
    assert "error: --on ssh: cannot run ssh: No such file or directory" in found.stderr


def test_what_is_wrong_with_a_sweep_is_said_before_anybody_is_asked(tmp_path: Path) -> None:
    far = Far(tmp_path / "far", "touch $FAR_HOME/asked\n")
    for words in (["-v", "linfromer"], ["-s", "1..x"], ["--rounds", "0"], ["--plugin", "no.py"]):
        found = on(far, "profile", *words, cwd=tmp_path)
        assert (found.returncode, found.stderr.count("error: ")) == (2, 1), words
    assert not (far.home / "asked").exists()


def test_options_of_this_machine_are_refused(far: Far, tmp_path: Path) -> None:
    for words in (["--again", "@1"], ["--reuse"], ["--shard", "1/2"], ["--resume", "nothing"]):
        found = on(far, "profile", *words, cwd=tmp_path)
        assert (found.returncode, found.stderr.count("error: ")) == (2, 1), words
    found = on(far, *SWEEP, "-o", "p.yaml", cwd=tmp_path)
    assert (found.returncode, "a folder of profiles" in found.stderr) == (2, True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").touch()
    found = on(far, *SWEEP, "-o", "out", cwd=tmp_path)
    assert (found.returncode, "--force" in found.stderr) == (2, True)


@pytest.mark.in_ci
def test_what_goes_wrong_there_is_told_and_is_the_exit_code(far: Far, tmp_path: Path) -> None:
    found = on(far, *SWEEP, "--device", "cuda", "-o", "out", cwd=tmp_path)
    assert found.returncode == 2
    assert "[far] error: no device 'cuda' found" in found.stderr
    assert found.stderr.endswith("error: nothing was measured on far\n")


@pytest.mark.in_ci
def test_a_plugin_and_a_config_go_along(far: Far, tmp_path: Path) -> None:
    made = effattn("new", "my_mixer", cwd=tmp_path)
    assert made.returncode == 0
    file = next(tmp_path.glob("my*.py")).name
    (tmp_path / "sweep.yaml").write_text(f"plugin: {file}\nvariant: my-mixer\nseq: 64\n")
    words = ["--config", "sweep.yaml", "--rounds", "1", "--baseline", "none"]
    found = on(far, "profile", *words, *SWEEP[-8:], "-o", "out", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    profile = profiles(tmp_path / "out")["far"]
    assert sweep_of(profile) == [("my-mixer", 64, 1)]
    assert profile.variants["my-mixer"].plugin == file
    told = json.loads(found.stdout)
    assert told["profiles"][0] | {"machine": ""} == {
        "path": "out/far.yaml", "machine": "", "cells": 1, "runs": 1, "finished": True,
    }  # fmt: skip
    assert told["workers"][0]["exit_code"] == 0


@pytest.mark.in_ci
def test_a_link_that_is_cut_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.0, 0.0, 0.0))
    seen: list[Profile] = []
    once = supervisor.Supervisor._once

    def noted(self: supervisor.Supervisor, worker: supervisor.Worker) -> tuple[int | None, str]:
        ended = once(self, worker)
        seen.append(store.read(worker.part))
        return ended

    monkeypatch.setattr(supervisor.Supervisor, "_once", noted)
    far = Far(tmp_path / "far", CUT)
    found = on(far, *SWEEP, "-o", "out", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "[far] note: lost: the cable is cut; goes on in 0 s" in found.stderr
    profile = profiles(tmp_path / "out")["far"]
    assert sweep_of(profile) == WHOLE
    final = {record.cell: record.runs for record in profile.records}
    before = {record.cell: record.runs for record in seen[0].records}
    for cell, runs in before.items():
        assert final[cell][: len(runs)] == runs


@pytest.mark.in_ci
def test_a_host_that_is_given_up_leaves_the_others_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.0, 0.0, 0.0))
    down = 'case "$*" in *" bad "*carry-out*) echo no route to host >&2; exit 255 ;; esac\n'
    far = Far(tmp_path / "far", f"{down}{HERE}")
    found = on(far, *SWEEP, "-o", "out", "--json", cwd=tmp_path, target="ssh:good,bad")
    assert found.returncode == 3
    assert "[bad] error: lost: no route to host; given up after 4 tries" in found.stderr
    last = "hint: effattn profile --resume out --on ssh:good,bad goes on with bad\n"
    assert found.stderr.endswith(last)
    told = json.loads(found.stdout)
    assert faults(told, kinds.schema(kinds.KINDS["fleet"])) == []
    assert [worker["exit_code"] for worker in told["workers"]] == [0, None]
    assert sweep_of(profiles(tmp_path / "out")["good"]) == WHOLE
    found = on(far, *SWEEP, "-o", "none", cwd=tmp_path, target="ssh:bad")
    assert found.returncode == 4
    assert found.stderr.endswith("error: nothing was measured on bad\n")


@pytest.mark.slow
def test_a_machine_without_effattn_gets_it(tmp_path: Path) -> None:
    """In an environment of its own, beside the torch that is there."""
    far = Far(tmp_path / "far", effattn=False)
    far.has("python3", f'exec "{sys.executable}" "$@"\n')
    found = on(far, *SWEEP, "--dry-run", cwd=tmp_path)
    assert f"no effattn; {__version__} is installed" in found.stdout, found.stderr
    found = on(far, *SWEEP, "-o", "out", "-q", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert sweep_of(profiles(tmp_path / "out")["far"]) == WHOLE
    found = on(far, *SWEEP, "--dry-run", cwd=tmp_path)
    assert f"effattn {__version__}" in found.stdout
    assert "installed" not in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_what_is_killed_at_random_is_finished(seed: int, far: Far, tmp_path: Path) -> None:
    """The program that carries the sweep out there, or the sweep itself, at any time."""
    drawn, mark = random.Random(seed), uuid.uuid4().hex
    words = [*MODULE, *SWEEP, "-o", "out", "--on", "ssh:far"]
    environment = marking(mark) | far.variables | {"COLUMNS": "80", "NO_COLOR": "1"}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        part, what = tmp_path / "out/parts/far.yaml", drawn.choice(["carry-out", "--config"])
        while process.poll() is None and not part.exists():
            time.sleep(0.1)
        time.sleep(drawn.uniform(0, 8))
        killed = [each for each in running(mark) if what in each.cmdline()]
        for each in killed:
            each.kill()
        _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert ("goes on in 2 s" in said) == bool(killed)
    profile = profiles(tmp_path / "out")["far"]
    assert profile.finished
    assert sweep_of(profile) == WHOLE
    assert running(mark) == []


@pytest.mark.in_ci
def test_ctrl_c_ends_the_work_there_and_it_goes_on_later(far: Far, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    environment = marking(mark) | far.variables | {"COLUMNS": "80", "NO_COLOR": "1"}
    words = [*MODULE, *LONG, "-o", "out", "--on", "ssh:far"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        part = tmp_path / "out" / "parts" / "far.yaml"
        while process.poll() is None and supervisor.measured(part) < 2:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.endswith(
        "saved: out/far.yaml\ninterrupted; what was measured is saved\n"
        "hint: effattn profile --resume out --on ssh:far goes on from here\n"
    )
    assert running(mark) == []
    kept = supervisor.measured(tmp_path / "out" / "far.yaml")
    assert kept >= 2
    found = on(far, "profile", "--resume", "out", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    profile = profiles(tmp_path / "out")["far"]
    assert sweep_of(profile) == [(name, seq, ROUNDS) for name, seq, _ in WHOLE]
    assert not (tmp_path / "out" / "parts").exists()
