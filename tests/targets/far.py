"""A machine that is none: an `ssh` that runs the command here, in a home of its own."""

import shutil
import sys
from pathlib import Path

from effattn_cli import store
from effattn_cli.records import Profile
from tests.running import effattn

SHAPE = "--dim 64 --heads 2 --threads 1 --precision 0.5".split()
SWEEP = ["profile", "-v", "linformer:rank=16", "-s", "64,128", "--rounds", "1", *SHAPE]
#: A sweep that tests interrupt: with this many runs, of 20 ms or more each, some are still left.
ROUNDS = 60
LONG = [*SWEEP, "--rounds", str(ROUNDS)]
#: Runs the last word in a home of its own, whatever the host is.
HERE = 'cd "$FAR_HOME" && HOME="$FAR_HOME" PATH="$FAR_PATH" exec sh -c "$script"\n'


class Far:
    """Its home, its programs, and what a test has to set to reach it."""

    def __init__(self, folder: Path, way: str = HERE, *, effattn: bool = True) -> None:
        self.home = folder / "home"
        self.programs = folder / "programs"
        for made in (self.home, self.programs, folder / "tmp"):
            made.mkdir(parents=True)
        self.ssh = _program(folder / "ssh", f"for script; do :; done\n{way}", shell="bash")
        self.variables = {
            "EFFATTN_SSH": str(self.ssh),
            "FAR_HOME": str(self.home),
            "FAR_PATH": f"{self.programs}:/usr/bin:/bin",
            "TMPDIR": str(folder / "tmp"),  # its sweeps wait for no other test's
        }
        if effattn:
            self.has("effattn", f'exec "{sys.executable}" -m effattn_cli "$@"\n')

    def has(self, name: str, text: str) -> None:
        """Puts a program there."""
        _program(self.programs / name, text)

    def hide_python(self) -> None:
        """Leaves there a shell, and what a test puts there."""
        shell = shutil.which("sh")
        assert shell is not None
        (self.programs / "sh").symlink_to(shell)
        self.variables["FAR_PATH"] = str(self.programs)


def _program(path: Path, text: str, shell: str = "sh") -> Path:
    path.write_text(f"#!/bin/{shell}\n{text}")
    path.chmod(0o755)
    return path


def profiles(folder: Path) -> dict[str, Profile]:
    """Those in a folder, by the names of their files."""
    return {path.stem: store.read(path) for path in sorted(folder.glob("*.yaml"))}


def of_all_shards(folder: Path, said: str) -> Profile:
    """The profile of a whole sweep. Where the machine became faster or slower between the shards,
    effattn says so and leaves them side by side; here they are merged all the same.
    """
    found = profiles(folder)
    if len(found) == 1:
        return next(iter(found.values()))
    assert "the shards stay side by side" in " ".join(said.split())
    out = folder.with_suffix(".yaml")
    merged = effattn("merge", "-o", str(out), f"{folder}/", "--ignore-sentinel", "--force")
    assert merged.returncode == 0, merged.stderr
    return store.read(out)


def sweep_of(profile: Profile) -> list[tuple[str, int, int]]:
    """Each cell that was measured, with its runs."""
    return sorted(
        (record.cell.variant, record.cell.seq, len(record.runs)) for record in profile.records
    )


WHOLE = [("linformer", 64, 1), ("linformer", 128, 1), ("sdpa", 64, 1), ("sdpa", 128, 1)]
