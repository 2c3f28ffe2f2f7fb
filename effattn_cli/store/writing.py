"""Profiles into files. Each record's text is made once and kept, so that writing after every visit
to a cell stays cheap in a sweep of thousands.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from effattn_cli import files
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile, Record
from effattn_cli.store.checking import Wrong, checked
from effattn_cli.store.reading import EXPONENT, SCHEMA, too_large

TITLE = "# A profile written by effattn. Seconds, bytes, FLOPs; a multiply-add is two.\n"
#: What JSON leaves as it is and YAML refuses, or reads as the end of a line.
_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class _Dumper(yaml.CSafeDumper):
    """Plain YAML without aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(*EXPONENT)  # text that looks so is put in quotes


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
            UsageError: a variant says something of itself that could not be read again.
        """
        data = "".join(self._parts(profile)).encode()
        if too_large(data):  # an earlier one that can be read is worth more than this
            raise files.CannotWrite(f"cannot write {str(self.path)!r}: too large to be read again")
        files.replace(self.path, data)

    def _parts(self, profile: Profile) -> Iterator[str]:
        bare = replace(profile, records=())
        if self._header is None or self._header[0] != bare:
            self._header = (bare, _header(profile))
        yield TITLE + self._header[1]
        yield "records:\n" if profile.records else "records: []\n"
        for record in profile.records:
            key = record.cell.key
            kept = self._texts.get(key)
            if kept is None or kept[0] is not record:
                kept = self._texts[key] = (record, _lines(record))
            yield kept[1]


def as_json(profile: Profile) -> str:
    """The whole profile as one JSON document."""
    return json.dumps({"effattn_profile": SCHEMA} | _plain(profile), indent=1)


def _header(profile: Profile) -> str:
    """All but the records, after a look at whether it and the cells can be read again."""
    head = _plain(replace(profile, records=()))
    cells = [{"cell": _plain(record.cell)} for record in profile.records]
    try:
        checked(Profile, head | {"records": cells})
    except Wrong as error:
        raise UsageError(f"this cannot be saved: {error}", error.hint) from error
    del head["records"]
    if head["scores"] is None:
        del head["scores"]
    return dumped({"effattn_profile": SCHEMA} | head)


def dumped(document: Mapping[str, Any]) -> str:
    """Plain YAML: one that the reader gives back as it was."""
    return yaml.dump(
        _plain(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )


def _lines(record: Record) -> str:
    """A record without the fields that were not found out; a round has a line of its own."""
    lines = []
    for item in fields(record):
        value = getattr(record, item.name)
        if item.name == "rounds" and value:
            lines += ["rounds:", *(f"- {_json(part)}" for part in value)]
        elif value is not None and value != ():
            lines.append(f"{item.name}: {_json(value)}")
    return "- " + "\n  ".join(lines) + "\n"


def _json(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    """A record as dictionaries, lists and scalars; text that is no Unicode loses what is none."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    return value
