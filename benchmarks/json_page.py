"""The part of docs/json.md that follows from records and options.

    python -m benchmarks.json_page              # writes it anew

What is said of a key is the comment that stands at the field of its record.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from effattn_cli.errors import EXIT_CODES
from effattn_cli.plan.request import OPTIONS, Request
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.kinds import KINDS
from effattn_cli.setting import AXES, USUAL, Setting

DOCUMENT = Path(__file__).parent.parent / "docs" / "json.md"
START, END = "<!-- made by python -m benchmarks.json_page -->\n", "<!-- end of what is made -->\n"


def page(text: str) -> str:
    """The page with its generated part as the records now have it."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + generated() + END + after


def generated() -> str:
    parts = [
        "\n## Exit codes\n",
        *_table(("code", "meaning"), ((str(code), said) for code, said in EXIT_CODES.items())),
        "\n## Keys of a config file\n",
        "They are the options of `effattn profile`; a list may stand where several values may.\n",
        *_table(("key", "usual", "what it says"), map(_option, OPTIONS)),
        "\n## Kinds of documents\n",
        *_table(("key of the version", "version", "printed by"), map(_kind, KINDS)),
        *_documents(),
    ]
    return "\n".join(parts) + "\n"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(titles)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _option(name: str) -> tuple[str, str, str]:
    spec = OPTIONS[name]
    if name in AXES:
        value = getattr(USUAL, name)
        usual = spec.default or ("" if value is None else AXES[name].write(value))
    else:
        value = getattr(Request(), name)
        usual = spec.default or ("" if value in (None, ()) else str(value))
    return f"`{name.replace('_', '-')}`", usual.lower(), spec.help


def _kind(name: str) -> tuple[str, str, str]:
    kind = KINDS[name]
    return f"`{kind.key}`", str(kind.version), ", ".join(f"`{word}`" for word in kind.commands)


def _documents() -> Iterator[str]:
    """The keys of each kind, then those of the records that occur within."""
    parts: dict[str, dict[str, Any]] = {}
    for kind in KINDS.values():
        schema = kinds.schema(kind)
        yield f"\n### {kind.key}\n"
        yield f"{kind.summary}\n"
        yield from _keys(schema, kind.record)
        parts |= schema["$defs"]
    classes = _classes()
    yield "\n## Records within documents\n"
    for name in sorted(parts):
        about = parts[name].get("description", "")
        yield f"\n### {name}\n"
        yield f"{about}\n"
        yield from _keys(parts[name], classes[name])


def _keys(schema: Mapping[str, Any], record: type) -> Iterator[str]:
    said = comments(record)
    if issubclass(record, Setting):
        said |= {name: axis.help for name, axis in AXES.items() if not said.get(name)}
    rows = (
        (f"`{name}`", _form(part), said.get(name, ""))
        for name, part in schema["properties"].items()
    )
    return _table(("key", "value", "what it is"), rows)


def _classes() -> dict[str, type]:
    """Every record within a document, by its name."""
    classes: dict[str, type] = {}
    for kind in KINDS.values():
        _look(msgspec.inspect.type_info(kind.record), classes)
    return classes


def _look(info: Any, classes: dict[str, type]) -> None:
    cls = getattr(info, "cls", None)
    if cls is not None:
        if cls.__name__ in classes:
            return
        classes[cls.__name__] = cls
    parts = [getattr(info, name, None) for name in ("item_type", "value_type")]
    parts += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    parts += [field.type for field in getattr(info, "fields", ())]
    for part in parts:
        if part is not None:
            _look(part, classes)


def _form(part: Mapping[str, Any]) -> str:
    """A type in words: `list of Cell`, `number or null`."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in part:
        forms = [*map(_form, part["anyOf"])]
        last = [form for form in forms if form == "null"]
        return " or ".join([*(_within(form) for form in forms if form != "null"), *last])
    if "const" in part or "enum" in part:
        values = [part["const"]] if "const" in part else part["enum"]
        return " or ".join(f"`{value}`" for value in values)
    if part.get("type") == "array":
        items = part.get("prefixItems") or [part["items"]]
        return f"list of {_within(' and '.join(dict.fromkeys(map(_form, items))))}"
    if part.get("type") == "object":
        return f"object of {_within(_form(part['additionalProperties']))}"
    return str(part["type"])


def _within(form: str) -> str:
    return f"({form})" if " or " in form else form


def comments(record: type) -> dict[str, str]:
    """What is said of each field of a record, of those that it inherits too."""
    said: dict[str, str] = {}
    for cls in reversed(record.__mro__):
        if cls.__module__.startswith("effattn_cli"):
            said |= _own_comments(cls)
    return said


def _own_comments(cls: type) -> dict[str, str]:
    source = inspect.getsource(cls)
    lines, (tree,) = source.splitlines(), ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    return {
        node.target.id: " ".join([*_above(lines[: node.lineno - 1]), *_behind(lines, node)])
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _above(lines: Sequence[str]) -> list[str]:
    """The comment that the lines end with, where it starts with `#:`."""
    words = takewhile(lambda line: line.strip().startswith("#"), reversed(lines))
    comment = [line.strip() for line in words][::-1]
    is_ours = bool(comment) and comment[0].startswith("#:")
    return [line.strip(" #:") for line in comment] if is_ours else []


def _behind(lines: Sequence[str], node: ast.AnnAssign) -> list[str]:
    """The comments at the ends of the field's own lines."""
    matches = (
        re.search(r"  # (.*?)(?:  # .*)?$", line)
        for line in lines[node.lineno - 1 : node.end_lineno]
    )
    return [match[1] for match in matches if match]


if __name__ == "__main__":
    DOCUMENT.write_text(page(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT}\n")
