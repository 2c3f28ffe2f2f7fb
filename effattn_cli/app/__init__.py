"""Use cases: what a command does, without its words. They return records and print nothing."""

from collections.abc import Callable

#: Takes a line that the user should read beside the answer.
Note = Callable[[str], None]
