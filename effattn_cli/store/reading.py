"""Documents out of files, which may come from strangers: limits first, then syntax, then types."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import msgspec
import yaml
from msgspec.structs import replace

from effattn_cli.documents import Wrong, converted, explained
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Evaluation
from effattn_cli.records import Cell, Profile
from effattn_cli.store import upgrading
from effattn_cli.store.formats import EVALUATION, PROFILE, Format, Row
from effattn_cli.store.plain_yaml import tree
from effattn_cli.store.upgrading import DocumentT

# Together these keep any file to about a second and 200 MB, and let 10,000 usual cells through.
MAX_BYTES = 32 << 20
MAX_PARTS = 4_000_000
KEY_PARTS = 6  # what a key costs, in time and memory, for one item of a list
MAX_RECORDS = 10_000
MAX_RECORD_BYTES = 1 << 20
RECORDS = b"\nrecords:\n"
STARTS = (b"- cell: {", b'- {"cell"')  # of a record: over some lines, or on one
_NEXT = re.compile(rb'\n(?=- cell|- \{"cell")')


def read(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        UsageError: it cannot be read or is no profile; the message names the value that is wrong.
    """
    return parse(content(path), str(path))


def read_evaluation(path: Path) -> Evaluation:
    """The evaluation in a file.

    Raises:
        UsageError: as `read`.
    """
    with refused(str(path)):
        return document(content(path), EVALUATION)


def content(path: Path, max_bytes: int = MAX_BYTES + 1) -> bytes:
    """The first bytes of a file, `max_bytes` of them.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"cannot read {str(path)!r}: it is not a file")
        with path.open("rb") as file:
            return file.read(max_bytes)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def parse(data: bytes, name: str = "profile") -> Profile:
    """The profile in the bytes of a file; `name` stands in for the file in messages."""
    with refused(name):
        return document(data, PROFILE)


@contextmanager
def refused(name: str) -> Iterator[None]:
    """Turns what is wrong with the bytes of the file `name` into one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: it is not text") from error
    except Wrong as error:
        raise UsageError(f"{name}: {error}", error.hint) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"{name}: not YAML: {_first_line(error)}") from error


def too_large(data: bytes) -> bool:
    """Whether a file of these bytes would not be read."""
    return len(data) > MAX_BYTES or data.count(b",") + KEY_PARTS * data.count(b":") > MAX_PARTS


def document(data: bytes, form: Format[DocumentT]) -> DocumentT:
    """What the bytes of a file hold; raises what `refused` turns into a line."""
    if too_large(data):
        raise Wrong(f"larger than any {form.noun} ({MAX_BYTES >> 20} MiB, or too many values)")
    start = start_of_records(data)
    if start is None:
        return upgrading.renamed(_consistent(converted(form.kind, head(data, form))))
    version, plain = versioned(data[:start], form)
    whole = converted(form.kind, plain | {"records": []})
    records = tuple(_records(data, start, version, form, finished=whole.finished))
    if not whole.finished:  # while a sweep runs, what is newer is added behind what is older
        records = tuple({record.cell: record for record in records}.values())
    return upgrading.renamed(_consistent(replace(whole, records=records)))


def start_of_records(data: bytes) -> int | None:
    """Where the first record begins; None where the records are not as effattn writes them."""
    start = data.find(RECORDS) + len(RECORDS)
    return start if start >= len(RECORDS) and data.startswith(STARTS, start) else None


def head(data: bytes, form: Format[Any]) -> dict[str, Any]:
    """The keys of a document up to `records`, or of all of it, as the present version has them."""
    return versioned(data, form)[1]


def versioned(data: bytes, form: Format[Any]) -> tuple[int, dict[str, Any]]:
    """The version of the format, and `head`."""
    keys = tree(data.removesuffix(RECORDS))
    if not isinstance(keys, dict) or form.key not in keys:
        raise Wrong(f"not an effattn {form.noun} (no key {form.key!r})")
    version = schema(keys.pop(form.key), form.schema)
    return version, form.old_head(keys) if version < form.schema else keys


def schema(version: Any, newest: int) -> int:
    """The version, if it is one that can be read."""
    if type(version) is not int or not 1 <= version <= newest:
        raise Wrong(f"schema version {str(version)[:20]!r}; this effattn reads up to {newest}")
    return version


def _records(
    data: bytes, start: int, version: int, form: Format[Any], *, finished: bool
) -> Iterator[Any]:
    """The records that begin at `start`, one at a time.

    The last one of a sweep that was killed while it was written ends in mid line. What was known of
    its cell before stands further up.
    """
    number = 0
    while start < len(data):
        end = _next_record(data, start)
        if number == MAX_RECORDS:
            raise Wrong(f"more than {MAX_RECORDS:,} records")
        try:
            yield _record(data[start:end], version, form)
        except Wrong as error:
            if end == len(data) and not finished and not data.endswith(b"\n"):
                return
            raise error.within(f"records[{number}]") from None
        start, number = end, number + 1


def _next_record(data: bytes, start: int) -> int:
    end = _NEXT.search(data, start)
    return end.end() if end else len(data)


def _record(data: bytes, version: int, form: Format[Any]) -> Row:
    if len(data) > MAX_RECORD_BYTES:
        raise Wrong(f"larger than {MAX_RECORD_BYTES >> 20} MiB")
    text = data[2:] if data.startswith(b"- {") else _as_json(data)
    if version < form.schema:
        return converted(form.record, form.old_record(_plain(text)))
    try:
        return _DECODERS[form.record].decode(text)
    except msgspec.ValidationError as error:
        raise explained(error, form.record, _plain(text)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        _plain(text)  # says where
        raise


_DECODERS = {form.record: msgspec.json.Decoder(form.record) for form in (PROFILE, EVALUATION)}


def _as_json(data: bytes) -> bytes:
    """A record of some lines: `name: JSON` each; a list may have its items on the lines below."""
    texts: dict[str, list[str]] = {}  # what follows the name, then the items
    name = ""
    for line in data.decode().removeprefix("- ").rstrip("\n").split("\n  "):
        if line.startswith("- ") and name:
            texts[name].append(line[2:])
            continue
        name, _, value = line.partition(":")
        if not name.isidentifier():
            raise Wrong(f"expected a name and a value, got {shortened(line)}")
        if name in texts:
            raise Wrong(f"the key {name[:40]!r} is given twice")
        texts[name] = [value]
    parts = []
    for name, (value, *items) in texts.items():
        parts.append(f'"{name}":{value}[{",".join(items)}]' if items else f'"{name}":{value}')
    return f"{{{','.join(parts)}}}".encode()


def _plain(text: bytes) -> Any:
    """JSON as dictionaries and lists, for a look at what is wrong with it."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Wrong(f"not JSON: {_first_line(error).partition(' - at ')[0]}") from error


def _consistent(document: DocumentT) -> DocumentT:
    """The document, if its parts fit one another."""
    for name, variant in document.variants.items():
        if variant.name != name:
            raise Wrong(f"variants[{name[:40]!r}].name: expected {name[:40]!r}")
    seen: dict[Cell, int] = {}
    for number, record in enumerate(document.records):
        if record.cell.variant not in document.variants:
            raise Wrong(f"records[{number}].cell.variant: there is no such variant in this file")
        first = seen.setdefault(record.cell, number)
        if first != number:
            raise Wrong(f"records[{number}].cell: the same as records[{first}].cell")
    return document


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
