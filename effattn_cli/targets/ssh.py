"""Other machines over the system's ssh client, with its configuration: `ssh:host,user@host:port`.

`EFFATTN_SSH` stands for the client and its options: `EFFATTN_SSH='ssh -i key'`. Each machine
measures the whole sweep, with the effattn that is installed there.
"""

import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from effattn_cli import __version__
from effattn_cli.errors import UsageError
from effattn_cli.remote import streams, wheel
from effattn_cli.remote.errands import Ended, Errand, Event, Line, Lost, Run

VARIABLE = "EFFATTN_SSH"
OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15",
    "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
HOST = re.compile(
    r"(?P<user>[^\s:@-][^\s:@]*@)?(?P<name>\[[\da-fA-F:.]+\]|[^\s:@\[-][^\s:@]*)(:(?P<port>\d+))?"
)
OWN = "$HOME/.cache/effattn/remote"  # a virtual environment, made where there is no effattn
MARK, PYTHON = "effattn-is", "python-is"
#: Every effattn that can be found, its version behind it; then whether there is what it takes.
LOOK = f"""
for each in effattn "$HOME/.local/bin/effattn" "{OWN}/bin/effattn"; do
  path=$(command -v "$each") && echo "{MARK} $path $("$path" --version)"
done
python3 -c 'import sys, importlib.util as u; print("{PYTHON}", "old" if sys.version_info < (3, 11)
  else "ready" if u.find_spec("torch") else "bare")'
true
"""
#: An environment beside the torch that is there, also where `python3` is in an environment itself;
#: never another torch.
INSTALL = f"""set -e
python3 -m venv --clear --system-site-packages "{OWN}"
cat > "{OWN}/{wheel.NAME}"
there='import sys; print(*(each for each in sys.path if each.endswith("-packages")), sep="\\n")'
python3 -c "$there" > "$(cd "{OWN}"/lib/python3*/site-packages && pwd)/there.pth"
torch='from importlib.metadata import version; print("torch==" + version("torch"))'
"{OWN}/bin/python" -c "$torch" > "{OWN}/constraints.txt"
"{OWN}/bin/pip" install --quiet --disable-pip-version-check \\
  -c "{OWN}/constraints.txt" "{OWN}/{wheel.NAME}"
"{OWN}/bin/effattn" --version
"""


def target(rest: str, folder: Path, shards: int | None) -> "Ssh":
    del folder
    if shards is not None:
        raise UsageError("--on ssh: this sweep runs in shards", "go on with the target it began on")
    hosts = [_Host.read(text) for text in rest.split(",") if text]
    if not hosts:
        raise UsageError("--on ssh: no host is named", "--on ssh:host,user@other:2222")
    doubled = [each.text for each in hosts if hosts.count(each) > 1]
    if doubled:
        raise UsageError(f"--on ssh: {doubled[0]!r} is named twice")
    return Ssh(hosts)


@dataclass(frozen=True)
class _Host:
    text: str  # as it was typed
    words: tuple[str, ...]  # as the client takes it

    @classmethod
    def read(cls, text: str) -> "_Host":
        match = HOST.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--on ssh: {text[:60]!r} is no host", "host, user@host, user@host:port"
            )
        port = ("-p", match["port"]) if match["port"] else ()
        return cls(text, (*port, (match["user"] or "") + match["name"].strip("[]")))

    @property
    def shown(self) -> str:
        """The beginning of a command that a person can type."""
        return shlex.join(["ssh", *self.words])

    def command(self, script: str) -> list[str]:
        """What runs a script of sh there, whatever the user's shell is."""
        client = shlex.split(os.environ.get(VARIABLE) or "ssh")
        return [*client, *OPTIONS, *self.words, f"exec sh -c {shlex.quote(script)}"]


class Ssh:
    whole = True

    def __init__(self, hosts: list[_Host]) -> None:
        self.names = tuple(each.text for each in hosts)
        self._hosts = {each.text: each for each in hosts}
        self._effattn: dict[str, str | None] = {}  # where it is, on each host; None: not there yet

    def places(self) -> Mapping[str, str]:
        with ThreadPoolExecutor(len(self.names)) as pool:
            paths = pool.map(_effattn, self._hosts.values())
            self._effattn = dict(zip(self.names, paths, strict=True))
        return {
            name: f"effattn {__version__}" if path else f"no effattn; {__version__} is installed"
            for name, path in self._effattn.items()
        }

    def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
        bare = [host for name, host in self._hosts.items() if self._effattn[name] is None]
        if bare:
            with ThreadPoolExecutor(len(bare)) as pool:
                made = pool.map(_installed, bare)
                self._effattn |= {host.text: path for host, path in zip(bare, made, strict=True)}
        return {
            name: _Link(self._hosts[name], str(self._effattn[name]), errand)
            for name, errand in errands.items()
        }


def _effattn(host: _Host) -> str | None:
    """The effattn of this version that is there; None where it can be installed.

    Raises:
        UsageError: there is another one, or it cannot be installed.
    """
    lines = [line.split(" ", 2) for line in _asked(host, LOOK).splitlines()]
    there = {rest[0]: rest[-1] for mark, *rest in lines if mark == MARK}
    for path, version in there.items():
        if version == f"effattn {__version__}":
            return path
    for path, version in there.items():
        if not path.endswith(OWN.removeprefix("$HOME") + "/bin/effattn"):
            other = version.removeprefix("effattn ")
            why = f"{host.text}: {path} is effattn {other}, and {__version__} runs here"
            raise UsageError(why, "install the same version on both machines")
    python = next((rest[0] for mark, *rest in lines if mark == PYTHON), "missing")
    if python == "bare":
        why = f"{host.text}: neither effattn nor torch is installed"
        raise UsageError(
            why, f"{host.shown} python3 -m pip install torch; then effattn is brought along"
        )
    if python != "ready":
        why = f"{host.text}: effattn is not installed, and there is no Python 3.11 to install it"
        raise UsageError(why, "install Python, torch and effattn there")
    return None


def _installed(host: _Host) -> str:
    """The effattn that is now there, in an environment of its own beside the torch that was."""
    said = _asked(host, INSTALL, wheel.wheel(), 600)
    if f"effattn {__version__}" not in said:
        raise UsageError(f"{host.text}: effattn cannot be installed: {_last(said)}")
    return _asked(host, f'echo "{OWN}/bin/effattn"').split()[-1]


def _asked(host: _Host, script: str, data: bytes = b"", seconds: float = 120) -> str:
    """What a script prints there.

    Raises:
        UsageError: the host cannot be reached, the script fails, or there is no client here.
    """
    try:
        result = subprocess.run(
            host.command(script), input=data, capture_output=True, timeout=seconds, check=False
        )
    except OSError as error:
        hint = f"is it installed? {VARIABLE} names another client"
        raise UsageError(f"--on ssh: cannot run ssh: {error.strerror}", hint) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{host.text}: no answer within {seconds:.0f} s") from error
    if result.returncode != 0:
        why = (
            _last(result.stderr)
            or _last(result.stdout)
            or f"ssh ended with exit code {result.returncode}"
        )
        raise UsageError(
            f"{host.text}: {why}", f"{host.shown} true  should work without a password"
        )
    return result.stdout.decode(errors="replace")


def _last(said: bytes | str) -> str:
    """The last line of what a program said."""
    text = said if isinstance(said, str) else said.decode(errors="replace")
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


class _Link:
    """A client that carries an errand there, and events back. When its input closes, the sweep
    ends.
    """

    def __init__(self, host: _Host, effattn: str, errand: Errand) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the link
        self._process = subprocess.Popen(
            host.command(f"exec {shlex.quote(effattn)} carry-out"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C in the terminal reaches this process only
        )
        self._over = threading.Event()
        threading.Thread(target=self._write, args=(errand,), daemon=True).start()

    def _write(self, errand: Errand) -> None:
        """The errand, then signs of life until it is to end."""
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError), pipe:
            pipe.write(streams.line(errand))
            pipe.flush()
            while not self._over.wait(streams.BEAT):
                pipe.write(b"\n")
                pipe.flush()

    def events(self) -> Iterator[Event]:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                event = streams.event(line) or Line(line.decode(errors="replace").rstrip())
                yield event
                if isinstance(event, Ended):
                    return
            raise Lost(self._why())
        finally:
            self._over.set()
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._errors.close()

    def _why(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        return _last(self._errors.read()) or f"ssh ended with exit code {code}"

    def stop(self) -> None:
        self._over.set()

    def abandon(self) -> None:
        self._process.kill()
