"""Documents into files: whole in one step, or record by record while a sweep runs.

A file that grows has what is newer behind what is older, a record a line; a reader takes the last
of each cell. So a step of a sweep costs the same however long the sweep is, and a process that is
killed loses nothing of what was written. Now and then, and in the end, the file is written anew.
"""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec.structs import replace

from effattn_cli import files
from effattn_cli.documents import Wrong, converted
from effattn_cli.errors import UsageError
from effattn_cli.store.formats import FORMATS, Document, Row
from effattn_cli.store.plain_yaml import EXPONENT
from effattn_cli.store.reading import too_large

UNLESS_THERE = ("scores", "shard")  # keys that a head has only where they say something
GROWTH = 1 << 20  # bytes that are added at least before the file is written anew
#: What JSON leaves as it is and YAML refuses, or reads as the end of a line.
_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class _Dumper(yaml.CSafeDumper):
    """Plain YAML without aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(*EXPONENT)  # text that looks so is put in quotes


class Writer:
    """Writes one profile or evaluation to `path`, again and again as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document: Document | None = None
        self._newest: dict[Any, Row] = {}
        self._file: files.Appender | None = None
        self._whole = 0  # bytes of the file as it was last written whole

    def write(self, document: Document) -> None:
        """Replaces the file by `document` in one step.

        Raises:
            CannotWrite: no space, no permission, no such folder; the earlier file is intact.
            UsageError: a variant says something of itself that could not be read again.
        """
        self.close()
        data = as_yaml(document).encode()
        if too_large(data):  # an earlier one that can be read is worth more than this
            raise files.CannotWrite(f"cannot write {str(self.path)!r}: too large to be read again")
        files.replace(self.path, data)
        self._whole = len(data)
        if not document.finished and document.records:
            self._document = document
            self._newest = {record.cell: record for record in document.records}

    def add(self, record: Row) -> None:
        """Adds what is now known of a cell of the document that was written last.

        Raises:
            CannotWrite: no space, say; what was written before is intact.
        """
        assert self._document is not None
        self._newest[record.cell] = record
        if self._file is None:
            self._file = files.Appender(self.path)
        self._file.add(f"- {_json(record)}\n".encode())
        if self._file.added > max(GROWTH, self._whole):
            self.write(replace(self._document, records=tuple(self._newest.values())))

    def close(self) -> None:
        """Ends the adding; `write` begins it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def as_yaml(document: Document) -> str:
    """The whole document as a file holds it.

    Raises:
        UsageError: a variant says something of itself that could not be read again.
    """
    form = FORMATS[type(document)]
    records = (_lines(record, form.listed) for record in document.records)
    start = "records:\n" if document.records else "records: []\n"
    return "".join([form.title, _header(document), start, *records])


def as_json(document: Document) -> str:
    """The whole document as one JSON document."""
    form = FORMATS[type(document)]
    return json_text({form.key: form.schema} | msgspec.structs.asdict(document))


def json_text(document: Mapping[str, Any]) -> str:
    """Records and plain data as JSON, in ASCII; a number that is not finite is null."""
    text = msgspec.json.format(msgspec.json.encode(_plain(document)), indent=1).decode()
    return re.sub("[^\x00-\x7e]", _escaped, text)  # also what would move a cursor


def _header(document: Document) -> str:
    """All but the records, after a look at whether it and the cells can be read again."""
    form = FORMATS[type(document)]
    head = _plain(replace(document, records=()))
    cells = [{"cell": _plain(record.cell)} for record in document.records]
    try:
        converted(form.kind, head | {"records": cells})
    except Wrong as error:
        raise UsageError(f"this cannot be saved: {error}", error.hint) from error
    del head["records"]
    for name in UNLESS_THERE:
        if head.get(name, "") is None:
            del head[name]
    return dumped({form.key: form.schema} | head)


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


def _lines(record: Row, listed: Collection[str]) -> str:
    """A record without the fields that were not found out; an item of a field that is `listed` has
    a line of its own, without such fields, too.
    """
    lines = []
    for name, value in _stated(record).items():
        if name in listed:
            lines += [f"{name}:", *(f"- {_json(_stated(part))}" for part in value)]
        else:
            lines.append(f"{name}: {_json(value)}")
    return "- " + "\n  ".join(lines) + "\n"


def _stated(struct: msgspec.Struct) -> dict[str, Any]:
    values = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _json(value: Any) -> str:
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_plain(value))
    text = msgspec.json.format(data, indent=0).decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return _HIDDEN.sub(_escaped, text)


def _escaped(letter: re.Match[str]) -> str:
    return json.dumps(letter[0])[1:-1]


def _plain(value: Any) -> Any:
    """Dictionaries, lists and scalars; text that is no Unicode loses what is none."""
    return _unicode(msgspec.to_builtins(value))


def _unicode(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_unicode(key): _unicode(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_unicode(part) for part in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="replace").decode()
    return value
