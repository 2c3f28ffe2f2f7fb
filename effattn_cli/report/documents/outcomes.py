"""How a command ended that prints no answer: what it wrote, or what went wrong."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

What = Literal["page", "chart", "profile", "profiles", "export", "variant"]


class Problem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An error: the same words as on stderr, and the exit code."""

    message: str
    hint: str | None
    exit_code: int


class Saved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that was written."""

    path: str
    what: What
    counts: Mapping[str, int] = {}  # of what is in it: "cells", "runs", "scores"
    next: tuple[str, ...] = ()  # commands to go on with
