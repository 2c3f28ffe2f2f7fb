"""A sweep over a real ssh, to a server on this machine with keys made for the test."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from effattn_cli.app import supervisor
from tests.marked import MARK, running
from tests.running import MODULE
from tests.targets.far import LONG, ROUNDS, WHOLE, profiles, sweep_of

CLIENT = "ssh -F none -i {key} -o UserKnownHostsFile={known} -o StrictHostKeyChecking=accept-new"
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv PATH={folder}/programs:/usr/bin:/bin XDG_DATA_HOME={data} TMPDIR={folder} {mark}
"""


@dataclass(frozen=True)
class Server:
    process: "subprocess.Popen[bytes]"
    target: str
    client: str
    mark: str  # in the environment of all that runs there

    def cut(self) -> None:
        """Ends the links that there are, as a broken network would."""
        for session in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended with the one above it
                if session.name().startswith("sshd"):
                    session.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("no ssh server on this machine: install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server that root starts locks itself in
    folder, mark = tmp_path / "server", uuid.uuid4().hex
    (folder / "programs").mkdir(parents=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    effattn = folder / "programs" / "effattn"
    effattn.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m effattn_cli "$@"\n')
    effattn.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = SERVER.format(
        port=port, folder=folder, data=os.environ["XDG_DATA_HOME"], mark=f"{MARK}={mark}"
    )
    (folder / "config").write_text(text)
    checked = subprocess.run(
        [program, "-t", "-f", str(folder / "config")], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        pytest.skip(f"the ssh server cannot run here: {checked.stderr.strip()}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log)
    client = CLIENT.format(key=folder / "user", known=folder / "known")
    target = f"ssh:{getpass.getuser()}@127.0.0.1:{port}"
    try:
        yield Server(process, target, client, mark)
    finally:
        process.terminate()
        process.wait()


def started(server: Server, folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*MODULE, *words, "--on", server.target],
        cwd=folder,
        env=os.environ | {"EFFATTN_SSH": server.client, "COLUMNS": "80", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(measured: int, part: Path, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and supervisor.measured(part) < measured:
        time.sleep(0.1)


@pytest.mark.in_ci
def test_a_sweep_that_loses_its_link_and_is_stopped_is_finished(
    server: Server, tmp_path: Path
) -> None:
    with started(server, tmp_path, *LONG, "-o", "out") as process:
        while not (parts := list((tmp_path / "out").glob("parts/*.yaml"))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        part = parts[0]
        until(2, part, process)
        server.cut()
        before = supervisor.measured(part)
        until(before + 2, part, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "note: lost: " in said
    assert running(server.mark) == []
    with started(server, tmp_path, "profile", "--resume", "out") as process:
        _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    (profile,) = profiles(tmp_path / "out").values()
    assert profile.finished
    assert sweep_of(profile) == [(name, seq, ROUNDS) for name, seq, _ in WHOLE]
    assert running(server.mark) == []
