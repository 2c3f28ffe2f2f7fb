"""Profiles out of files, which may come from strangers: limits first, then syntax, then values."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import yaml

from effattn_cli.errors import UsageError
from effattn_cli.records import Profile, Record
from effattn_cli.store.checking import LONGEST, Wrong, checked

SCHEMA = 1
# Together these keep any file to about a second and 200 MB, and let 10,000 usual cells through.
MAX_BYTES = 32 << 20
MAX_PARTS = 4_000_000
KEY_PARTS = 6  # what a key costs, in time and memory, for one item of a list
MAX_RECORDS = 10_000
MAX_RECORD_BYTES = 1 << 20
MAX_YAML_BYTES = 256 << 10  # of YAML that is not JSON: the header, or a file edited by hand
MAX_YAML_PARTS = 50_000  # values, and the beginnings and ends of lists, of such YAML
MAX_DEPTH = 10
RECORDS = b"\nrecords:\n"


def read(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        UsageError: it cannot be read or is no profile; the message names the value that is wrong.
    """
    return parse(content(path), str(path))


def content(path: Path, most: int = MAX_BYTES + 1) -> bytes:
    """The first bytes of a file, `most` of them.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"cannot read {str(path)!r}: it is no file")
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def parse(data: bytes, name: str = "profile") -> Profile:
    """The profile in the bytes of a file; `name` stands in for the file in messages."""
    with refused(name):
        return profile(data)


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
    """Whether a profile of these bytes would not be read."""
    return len(data) > MAX_BYTES or data.count(b",") + KEY_PARTS * data.count(b":") > MAX_PARTS


def profile(data: bytes) -> Profile:
    """The profile in the bytes of a file; raises what `refused` turns into a line."""
    if too_large(data):
        raise Wrong(f"larger than any profile ({MAX_BYTES >> 20} MiB, or too many values)")
    start = start_of_records(data)
    if start is None:
        return _consistent(checked(Profile, head(data)))
    found: Profile = checked(Profile, head(data[:start]) | {"records": []})
    return _consistent(replace(found, records=tuple(_records(data, start))))


def start_of_records(data: bytes) -> int | None:
    """Where the first record begins; None where the records are not as effattn writes them."""
    start = data.find(RECORDS) + len(RECORDS)
    return start if start >= len(RECORDS) and data.startswith(b"- cell: {", start) else None


def head(data: bytes) -> dict[str, Any]:
    """The keys of a profile up to `records`, or of all of it, after a look at its version."""
    found = tree(data.removesuffix(RECORDS))
    if not isinstance(found, dict) or "effattn_profile" not in found:
        raise Wrong("not an effattn profile (no key 'effattn_profile')")
    version = found.pop("effattn_profile")
    if type(version) is not int or version != SCHEMA:
        raise Wrong(f"schema version {str(version)[:20]!r}; this effattn reads {SCHEMA}")
    return found


def tree(data: bytes) -> Any:
    """Plain YAML, small and flat, as dictionaries, lists and scalars."""
    if len(data) > MAX_YAML_BYTES:
        raise Wrong(f"more than {MAX_YAML_BYTES >> 10} KiB before any record as effattn writes it")
    text, depth = data.decode(), 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > MAX_YAML_PARTS:
            raise Wrong(
                f"more than {MAX_YAML_PARTS:,} values before any record as effattn writes it"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise Wrong(f"lists and mappings nest more than {MAX_DEPTH} deep")
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise Wrong("aliases, anchors and tags are not allowed in a profile")
        if len(getattr(event, "value", "")) > LONGEST:
            raise Wrong(f"text of more than {LONGEST:,} letters")
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.CSafeLoader):
    """Safe, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if names and names.most_common(1)[0][1] > 1:
            raise Wrong(f"the key {names.most_common(1)[0][0][:40]!r} is given twice")
        return super().construct_mapping(node, deep=deep)


#: 2e-05 is a number in JSON, and in YAML since 1.2.
EXPONENT = ("tag:yaml.org,2002:float", re.compile(r"-?[0-9]+[eE][-+]?[0-9]+$"), list("-0123456789"))
_Loader.add_implicit_resolver(*EXPONENT)


def _records(data: bytes, start: int) -> Iterator[Record]:
    """The records that begin at `start`, one at a time: the trees behind them are soon gone."""
    number = 0
    while start < len(data):
        end = data.find(b"\n- cell", start) + 1 or len(data)
        if number == MAX_RECORDS:
            raise Wrong(f"more than {MAX_RECORDS:,} records")
        try:
            yield checked(Record, _record(data[start:end]))
        except Wrong as error:
            raise error.within(f"records[{number}]") from None
        start, number = end, number + 1


def _record(data: bytes) -> dict[str, Any]:
    """A record's parts: `name: JSON` a line; a list may have its items on the lines below."""
    if len(data) > MAX_RECORD_BYTES:
        raise Wrong(f"larger than {MAX_RECORD_BYTES >> 20} MiB")
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
    values = {
        name: f"{value}[{','.join(items)}]" if items else value
        for name, (value, *items) in texts.items()
    }
    whole = ",".join(f'"{name}":{value}' for name, value in values.items())
    with suppress(ValueError, RecursionError):  # at once where nothing is wrong, which is faster
        found: dict[str, Any] = _DECODER.decode(f"{{{whole}}}")
        if found.keys() == values.keys():
            return found
    return {name: _json(value, name) for name, value in values.items()}


def _json(text: str, name: str) -> Any:
    try:
        return _DECODER.decode(text)
    except Wrong as error:
        raise error.within(f".{name[:40]}") from None
    except (ValueError, RecursionError) as error:
        raise Wrong(f"not JSON: {_first_line(error)}").within(f".{name[:40]}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise Wrong(f"the key {name[:40]!r} is given twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _consistent(profile: Profile) -> Profile:
    """The profile, if its parts fit one another."""
    seen: dict[object, int] = {}
    for name, variant in profile.variants.items():
        if variant.name != name:
            raise Wrong(f"variants[{name[:40]!r}].name: expected {name[:40]!r}")
    for number, cell in enumerate(record.cell for record in profile.records):
        if cell.variant not in profile.variants:
            raise Wrong(f"records[{number}].cell.variant: there is no such variant in this file")
        options = tuple(sorted(cell.options.items()))
        first = seen.setdefault(tuple((vars(cell) | {"options": options}).values()), number)
        if first != number:
            raise Wrong(f"records[{number}].cell: the same as records[{first}].cell")
    return profile


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
