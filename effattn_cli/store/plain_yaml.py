"""YAML of strangers: small, flat, and nothing but mappings, lists and scalars."""

import re
from collections import Counter
from typing import Any

import yaml

from effattn_cli.documents import LONGEST, Wrong

MAX_YAML_BYTES = 256 << 10  # of YAML that is not JSON: the header, or a file edited by hand
MAX_YAML_PARTS = 50_000  # values, and the beginnings and ends of lists, of such YAML
MAX_DEPTH = 10


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
