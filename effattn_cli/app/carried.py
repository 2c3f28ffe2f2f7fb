"""What a sweep takes along to another machine: its options, and the files that they name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from effattn_cli import files
from effattn_cli.errors import UsageError
from effattn_cli.plan import config_file
from effattn_cli.remote.errands import Errand

CONFIG, PROFILE = "effattn-sweep.yaml", "effattn-profile.yaml"
LARGEST = 8 << 20  # bytes of a file that is taken along
MODELS = ("like", "model")  # options that may name a file, or a folder with a config.json


class Carried(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sweep, as it can be begun on any machine."""

    files: Mapping[str, bytes]
    plugins: tuple[str, ...]
    shards: int | None  # how many parts it is measured in; None: each machine measures the whole

    def errand(self, shard: int | None, before: bytes | None) -> Errand:
        """To begin the sweep, or to go on with the profile that there is."""
        if before is not None:
            plugins = [word for plugin in self.plugins for word in ("--plugin", plugin)]
            words = ["profile", "--resume", f"./{PROFILE}", *plugins]
            return Errand(
                words=tuple(words), files={**self.files, PROFILE: before}, profile=PROFILE
            )
        part = ["--shard", f"{shard}/{self.shards}"] if shard is not None else []
        words = ["profile", "--config", CONFIG, "-o", PROFILE, *part]
        return Errand(words=tuple(words), files=self.files, profile=PROFILE)

    def save(self, path: Path) -> None:
        files.replace(path, msgspec.json.encode(self))

    @classmethod
    def saved(cls, path: Path) -> "Carried":
        """
        Raises:
            UsageError: it is not there, or is none.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"cannot read {str(path)!r}: {error}") from error


def carried(options: Mapping[str, Any], shards: int | None) -> Carried:
    """The sweep of these options.

    Raises:
        UsageError: a file cannot be read, or is too large to be taken along.
    """
    taken: dict[str, bytes] = {}
    there = dict(options)
    for name in MODELS:
        if name in there:
            there[name] = _model(str(there[name]), taken)
    plugins = tuple(_plugin(str(text), taken) for text in there.get("plugin", ()))
    if plugins:
        there["plugin"] = plugins
    taken[CONFIG] = config_file.written(there).encode()
    return Carried(files=taken, plugins=plugins, shards=shards)


def _model(text: str, taken: dict[str, bytes]) -> str:
    """The name of a known model, or where its config will be."""
    path = Path(text)
    if path.is_dir():
        return _file(path / "config.json", taken)
    return _file(path, taken) if path.is_file() else text


def _plugin(text: str, taken: dict[str, bytes]) -> str:
    """What stands for a file, a folder, or a class in a file; a module has to be there already."""
    path = Path(text)
    if path.is_dir():
        place = _place(path, taken)
        for file in sorted(path.rglob("*.py")):
            taken[f"{place}/{file.relative_to(path).as_posix()}"] = _content(file)
        return place
    if path.is_file():
        return _file(path, taken)
    place, colon, name = text.rpartition(":")
    if colon and Path(place).is_file():
        return f"{_file(Path(place), taken)}:{name}"
    return text


def _file(path: Path, taken: dict[str, bytes]) -> str:
    place = _place(path, taken)
    taken[place] = _content(path)
    return place


def _place(path: Path, taken: Mapping[str, bytes]) -> str:
    """Where it stands in the folder of the sweep: as it was typed, if that is in a folder."""
    if path.is_absolute() or ".." in path.parts or not path.name:
        return f"taken-{len(taken)}/{path.absolute().name}"
    return path.as_posix()


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise UsageError(f"{str(path)!r} is too large to be sent: {len(data) >> 20} MiB")
    return data
