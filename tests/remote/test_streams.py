"""Errands and events as lines."""

import os
import subprocess
import sys
import time

from effattn_cli.remote import streams
from effattn_cli.remote.errands import Ended, Errand, Grown, Line
from effattn_cli.remote.streams import _Signs

SERVE = [sys.executable, "-m", "effattn_cli", "carry-out"]


def test_events_come_back_as_they_were() -> None:
    for event in (Line("µ\n\x00"), Grown(7, bytes(range(256))), Ended(-9)):
        text = streams.line(event)
        assert text.endswith(b"\n")
        assert text.count(b"\n") == 1
        assert streams.event(text) == event


def test_what_a_login_script_prints_is_no_event() -> None:
    assert streams.event(b"Welcome to the cluster!\n") is None
    assert streams.event(b'{"type": "else"}\n') is None


def test_a_closed_pipe_and_silence_end_the_waiting() -> None:
    read, write = os.pipe()
    signs = _Signs(read)
    assert signs.there()
    signs._last -= streams.SILENCE
    assert not signs.there()
    os.write(write, b"\n")
    while not signs.there():
        time.sleep(0.01)
    os.close(write)
    while signs.there():
        time.sleep(0.01)
    os.close(read)


def test_a_command_is_carried_out_over_pipes() -> None:
    errand = Errand(words=("--version",), files={}, profile="p")
    with subprocess.Popen(SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as served:
        assert served.stdin is not None
        assert served.stdout is not None
        served.stdin.write(streams.line(errand))
        served.stdin.flush()
        assert [streams.event(line) for line in served.stdout][-1] == Ended(0)
    assert served.returncode == 0
