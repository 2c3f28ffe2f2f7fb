"""Errands and events as lines of JSON: over the pipes of a link, or in a file."""

import os
import sys
import threading
import time
from contextlib import closing

import msgspec

from effattn_cli.remote.agent import carry_out
from effattn_cli.remote.errands import Errand, Event

BEAT = 10.0  # seconds between two signs of life of whoever waits
SILENCE = 60.0  # seconds without one, after which nobody waits any more

_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def line(message: Errand | Event) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def event(text: bytes) -> Event | None:
    """The event in a line; None for what a login script prints, say."""
    try:
        return _EVENTS.decode(text)
    except msgspec.DecodeError:
        return None


def errand(text: bytes) -> Errand:
    return msgspec.json.decode(text, type=Errand)


def serve() -> None:
    """Carries out the errand on stdin; ends when its other end is closed, or silent."""
    asked = errand(sys.stdin.buffer.readline())
    signs = _Signs(sys.stdin.fileno())
    with closing(carry_out(asked, signs.there)) as events:
        for message in events:
            sys.stdout.buffer.write(line(message))
            sys.stdout.buffer.flush()


class _Signs:
    """Signs of life that come in over a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._last = time.monotonic()
        self._closed = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while os.read(self._pipe, 1 << 10):  # unbuffered: at the end nobody waits for this thread
            self._last = time.monotonic()
        self._closed = True

    def there(self) -> bool:
        return not self._closed and time.monotonic() - self._last < SILENCE
