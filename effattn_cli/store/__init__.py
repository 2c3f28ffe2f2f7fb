"""Profiles on disk: YAML, written whole or not at all. The only package that knows the format.

A file holds a header and then the records, a part of a record a line, each line's value in JSON,
which is YAML too. JSON is read some thirty times faster than the rest of YAML, and cannot expand.
"""

from effattn_cli.store.heading import Heading, created, heading
from effattn_cli.store.reading import SCHEMA, parse, read
from effattn_cli.store.writing import Writer, as_json, as_yaml

__all__ = [
    "SCHEMA",
    "Heading",
    "Writer",
    "as_json",
    "as_yaml",
    "created",
    "heading",
    "parse",
    "read",
]
