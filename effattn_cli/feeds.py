"""Feed-forwards as they are typed: `relu`, `swiglu:14336`, `swiglu:768*128/8+768`.

An activation, the hidden units, and for a mixture of experts how many there are, how many of them
a token meets, and the hidden units that every token meets.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from effattn_cli.errors import UsageError, unknown

Activation = Literal["relu", "relu2", "gelu", "silu", "swiglu", "geglu", "reglu"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
NONE = "none"
USUAL = "relu"  # of the Transformer: four times as wide as the stream
MOST = 2**24  # hidden units, or experts
_TEXT = re.compile(r"([a-z0-9]+)(?::(\d{1,8})(?:\*(\d{1,6})/(\d{1,4})(?:\+(\d{1,8}))?)?)?")


@dataclass(frozen=True, kw_only=True)
class FeedShape:
    """What a text says of a feed-forward."""

    activation: Activation
    width: int | None = None  # hidden units, of an expert where there are some; None: 4 x dim
    experts: int = 0
    chosen: int = 0  # experts that a token meets
    shared: int = 0  # hidden units that every token meets

    @property
    def gated(self) -> bool:
        return self.activation.endswith("glu")

    @property
    def text(self) -> str:
        """As it is typed."""
        if self.width is None:
            return self.activation
        experts = f"*{self.experts}/{self.chosen}" if self.experts else ""
        return f"{self.activation}:{self.width}{experts}" + (
            f"+{self.shared}" if self.shared else ""
        )

    @property
    def words(self) -> str:
        """In a title."""
        if self.width is None:
            return self.activation
        if not self.experts:
            return f"{self.activation} {self.width}"
        shared = f" and {self.shared} shared" if self.shared else ""
        return f"{self.activation} {self.width}, {self.chosen} of {self.experts} experts{shared}"


def parse(text: str, flag: str = "--feed") -> FeedShape:
    """What `text` says.

    Raises:
        UsageError: it is not a valid feed-forward, or its numbers do not fit one another.

    >>> parse("swiglu:768*128/8").experts
    128
    """
    match = _TEXT.fullmatch(text.strip().lower())
    if match is None:
        hint = "write relu, swiglu:14336, or swiglu:768*128/8 for 8 of 128 experts"
        raise UsageError(f"{flag}: {text!r:.60} is not a valid feed-forward", hint)
    word = next((name for name in ACTIVATIONS if name == match[1]), None)
    if word is None:
        raise unknown("activation", match[1], (*ACTIVATIONS, NONE))
    width, experts, chosen, shared = (int(group or 0) for group in match.groups()[1:])
    if match[2] is not None and not 1 <= width <= MOST:
        raise UsageError(f"{flag}: {width} hidden units are out of range, from 1 to {MOST}")
    if match[3] is not None and not 1 <= chosen <= experts:
        raise UsageError(f"{flag}: a token cannot meet {chosen} of {experts} experts")
    return FeedShape(
        activation=word, width=width or None, experts=experts, chosen=chosen, shared=shared
    )


def checked(text: str, flag: str = "--feed") -> tuple[str, ...]:
    """The feed-forwards of a comma list, each as it is written."""
    items = [item.strip() for item in text.split(",")]
    return tuple(dict.fromkeys(NONE if item == NONE else parse(item, flag).text for item in items))


def words(text: str) -> str:
    """In a title."""
    return "no feed-forward" if text == NONE else f"{parse(text).words} feed-forward"
