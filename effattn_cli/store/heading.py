"""What stands at the head of a file, for listings of many: its records are counted, not read."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from effattn_cli.documents import Wrong, converted
from effattn_cli.machine import Machine
from effattn_cli.store import reading
from effattn_cli.store.formats import PROFILE, Format

FIRST_BYTES = 4096  # where effattn writes the time; what is elsewhere takes a reading of all
_CREATED = re.compile(rb"^created: '?([0-9T:.+Z-]+)'?$", re.MULTILINE)
_NAME = re.compile(rb"^  (\S.*)$", re.MULTILINE)


class Heading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A profile or an evaluation at a glance."""

    created: str
    machine: Machine
    variants: tuple[str, ...]
    cells: int
    finished: bool = False

    @property
    def when(self) -> datetime:
        return _time(self.created)


def heading(path: Path, form: Format[Any] = PROFILE) -> Heading:
    """The head of the profile in a file, or of what else `form` says that it holds.

    Raises:
        UsageError: it cannot be read, or its head is not that of a profile.
    """
    data = reading.content(path)
    with reading.refused(str(path)):
        start = reading.start_of_records(data)
        head = _quick(data, start, form) if start is not None else _slow(data, form)
        _time(head.created)
    return head


def is_profile(path: Path) -> bool:
    """Whether a file begins as effattn writes a profile; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return PROFILE.key.encode() in file.read(FIRST_BYTES)
    except OSError:
        return False


def created(path: Path, form: Format[Any] = PROFILE) -> datetime:
    """When the profile in a file was begun, from its first lines where it stands there.

    Raises:
        UsageError: as `heading`.
    """
    match = _CREATED.search(reading.content(path, FIRST_BYTES))
    if match is None:
        return heading(path, form).when
    with reading.refused(str(path)):
        return _time(match[1].decode())


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(f"created: expected a time, got {text[:40]!r}") from None
    return time.replace(tzinfo=time.tzinfo or UTC)


def _quick(data: bytes, start: int, form: Format[Any]) -> Heading:
    """Of a file as effattn writes it: the cards, most of its head, are cut down to their names."""
    before, mark, cards = data[:start].partition(b"\nvariants:\n")
    cards, end, after = cards.rpartition(b"\nfinished:")
    names = _NAME.findall(cards)
    if all(name.endswith(b":") and not name.startswith(b"?") for name in names):
        cards = b"".join(b"- " + name[:-1] + b"\n" for name in names)
    head = reading.head(before + mark + cards + end + after, form)
    kept = {name: head[name] for name in ("created", "machine", "finished") if name in head}
    count = data.count(b"\n- cell: {", start - 1)  # what a running sweep has added is no new cell
    plain = kept | {"variants": list(head.get("variants", ())), "cells": count}
    return converted(Heading, plain)


def _slow(data: bytes, form: Format[Any]) -> Heading:
    whole = reading.document(data, form)
    return Heading(
        created=whole.created,
        machine=whole.machine,
        variants=tuple(whole.variants),
        cells=len(whole.records),
        finished=whole.finished,
    )
