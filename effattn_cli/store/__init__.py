"""Profiles and evaluations on disk: YAML, whole or not at all. Nothing else knows the format.

A file holds a header and then the records, a part of a record a line, each line's value in JSON,
which is YAML too. JSON is read some thirty times faster than the rest of YAML, and cannot expand.
"""

from effattn_cli.store.formats import EVALUATION, PROFILE, Format
from effattn_cli.store.heading import Heading, created, heading, is_profile
from effattn_cli.store.reading import parse, read, read_evaluation
from effattn_cli.store.writing import Writer, as_json, as_yaml, json_text

__all__ = [
    "EVALUATION",
    "PROFILE",
    "Format",
    "Heading",
    "Writer",
    "as_json",
    "as_yaml",
    "created",
    "heading",
    "is_profile",
    "json_text",
    "parse",
    "read",
    "read_evaluation",
]
