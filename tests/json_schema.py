"""A validator of JSON Schema, of the keywords that our schemas have; an unknown one is an error."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Rule = Mapping[str, Any]
TYPES: Mapping[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip
WORDS = {"$schema", "$defs", "title", "description"}  # that hold a value to nothing


def faults(value: Any, schema: Rule) -> list[str]:
    """What is wrong with a document, each with its place."""
    return list(Validator(schema).faults(value, schema, "$"))


@dataclass(frozen=True)
class Validator:
    """Holds values to the rules of a schema."""

    schema: Rule

    def faults(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        for word, wanted in rule.items():
            if word in HOLDS:
                if not HOLDS[word](value, wanted):
                    yield f"{at}: {word} {wanted!r} does not hold for {value!r:.80}"
            elif word not in WORDS:
                yield from PARTS[word](self, value, rule, at)

    def reference(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        name = rule["$ref"].removeprefix("#/$defs/")
        yield from self.faults(value, self.schema["$defs"][name], at)

    def any_of(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        if all(any(self.faults(value, one, at)) for one in rule["anyOf"]):
            yield f"{at}: {value!r:.80} has none of {len(rule['anyOf'])} forms"

    def properties(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        for name, one in rule["properties"].items() if isinstance(value, dict) else ():
            if name in value:
                yield from self.faults(value[name], one, f"{at}.{name}")

    def other_properties(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        others = rule["additionalProperties"]
        for name in _keys(value) - _keys(rule.get("properties")):
            if others is False:
                yield f"{at}: {name!r} is not in the schema"
            else:
                yield from self.faults(value[name], others, f"{at}[{name!r}]")

    def names(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        for name in _keys(value):
            yield from self.faults(name, rule["propertyNames"], f"{at}: key {name!r}")

    def first_items(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        pairs = zip(_list(value), rule["prefixItems"], strict=False)
        for place, (item, one) in enumerate(pairs):
            yield from self.faults(item, one, f"{at}[{place}]")

    def items(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        first = len(rule.get("prefixItems", ()))
        for place, item in enumerate(_list(value)[first:], first):
            if rule["items"] is False:
                yield f"{at}[{place}]: more items than there may be"
            else:
                yield from self.faults(item, rule["items"], f"{at}[{place}]")


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _bound(kind: Any, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Of values of one type alone."""
    return lambda value, end: not isinstance(value, kind) or holds(value, end)


HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": _is,
    "const": lambda value, wanted: bool(value == wanted) and type(value) is type(wanted),
    "enum": lambda value, wanted: value in wanted,
    "minimum": _bound(int | float, lambda value, end: value >= end),
    "maximum": _bound(int | float, lambda value, end: value <= end),
    "exclusiveMinimum": _bound(int | float, lambda value, end: value > end),
    "exclusiveMaximum": _bound(int | float, lambda value, end: value < end),
    "maxLength": _bound(str, lambda value, end: len(value) <= end),
    "minItems": _bound(list, lambda value, end: len(value) >= end),
    "maxItems": _bound(list, lambda value, end: len(value) <= end),
    "required": _bound(dict, lambda value, names: set(names) <= set(value)),
}
PARTS: Mapping[str, Callable[..., Iterator[str]]] = {
    "$ref": Validator.reference, "anyOf": Validator.any_of, "items": Validator.items,
    "properties": Validator.properties, "additionalProperties": Validator.other_properties,
    "propertyNames": Validator.names, "prefixItems": Validator.first_items,
}  # fmt: skip
