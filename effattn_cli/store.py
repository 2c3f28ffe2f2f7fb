"""Profiles on disk: YAML, written whole or not at all. The only module that knows the format.

A file holds a header and then the records. Each record's text is made once and kept, so that
writing after every visit to a cell stays cheap in a sweep of thousands.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from effattn_cli import files
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile, Record

SCHEMA = 1
MAX_BYTES = 256 << 20  # a profile of 100,000 cells has about that
TITLE = "# A profile written by effattn. Seconds, bytes, FLOPs; a multiply-add is two.\n"


class _Flow(dict[str, Any]):
    """A mapping written on one line."""


class _Dumper(yaml.CSafeDumper):
    """Plain YAML: no aliases, short lists and marked mappings on a line of their own."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


_Dumper.add_representer(
    _Flow,
    lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True),
)


class Writer:
    """Writes one profile to `path`, again and again as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._texts: dict[str, tuple[Record, str]] = {}
        self._header: tuple[Profile, str] | None = None

    def write(self, profile: Profile) -> None:
        """Replaces the file by `profile` in one step.

        Raises:
            CannotWrite: no space, no permission, no such folder; the earlier file is intact.
        """
        files.replace(self.path, "".join(self._parts(profile)))

    def _parts(self, profile: Profile) -> Iterator[str]:
        bare = replace(profile, records=())
        if self._header is None or self._header[0] != bare:
            head = {"effattn_profile": SCHEMA} | _plain(bare)
            del head["records"]
            self._header = (bare, _dump(head))
        yield TITLE + self._header[1]
        yield "records:\n" if profile.records else "records: []\n"
        for record in profile.records:
            key = record.cell.key
            kept = self._texts.get(key)
            if kept is None or kept[0] is not record:
                kept = self._texts[key] = (record, _dump([_slim(record)]))
            yield kept[1]


def read(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        UsageError: it cannot be read or is no profile; the message names the value that is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than any profile ({MAX_BYTES >> 20} MiB)")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read {str(path)!r}: {why}") from error
    return parse(text, str(path))


def as_json(profile: Profile) -> str:
    """The whole profile as one JSON document."""
    return json.dumps({"effattn_profile": SCHEMA} | _plain(profile), indent=1)


def parse(text: str, name: str = "profile") -> Profile:
    """The profile in a text; `name` stands in for the file in messages."""
    try:
        _refuse_tricks(text)
        data = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not YAML: {_first_line(error)}") from error
    if not isinstance(data, dict) or "effattn_profile" not in data:
        raise UsageError(f"{name}: not an effattn profile (no key 'effattn_profile')")
    version = data.pop("effattn_profile")
    if version != SCHEMA:
        raise UsageError(f"{name}: schema version {version!r}; this effattn reads {SCHEMA}")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = _place(first["loc"])
        got = repr(first["input"])[:60]
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise UsageError(f"{name}: {place}: {message}, got {got}") from error


_ADAPTER = TypeAdapter(Profile)


def _refuse_tricks(text: str) -> None:
    """Aliases can make a small file expand without end; profiles never need them."""
    if "&" not in text and "*" not in text:
        return
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError("aliases and anchors are not allowed in a profile")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _place(parts: tuple[int | str, ...]) -> str:
    """("records", 3, "samples", 0) as records[3].samples[0]."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "profile"


def _dump(data: Any) -> str:
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )


def _slim(record: Record) -> dict[str, Any]:
    """A record without the fields that were not found out; the cell is always whole."""
    data: dict[str, Any] = {"cell": _Flow(_plain(record.cell))}
    for item in fields(record):
        value = getattr(record, item.name)
        if item.name == "cell" or value is None or value == ():
            continue
        if item.name == "rounds":
            data["rounds"] = [_plain(part) for part in value]
        else:
            data[item.name] = _Flow(_plain(value)) if is_dataclass(value) else _plain(value)
    return data


def _plain(value: Any) -> Any:
    """A record as dictionaries, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value
