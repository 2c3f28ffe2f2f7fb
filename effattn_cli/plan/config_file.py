"""The options of a sweep in a YAML file."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, get_args

import yaml

from effattn_cli.axis_readers import SWITCH
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.request import OPTIONS, Request
from effattn_cli.setting import AXES, FORMER
from effattn_cli.text_files import small_text

MAX_DEPTH = 2  # a mapping of lists
HEAD = 1000  # letters within which a saved profile says what it is
PROFILE = re.compile(r"^effattn_profile:", re.MULTILINE)


def from_file(path: Path) -> dict[str, Any]:
    """The options in a YAML file, by their names.

    Scalars are read as the text that stands there, by the option's type and not by YAML's: its
    rules make 90 of 1:30, 8 of 010, and False of no.

    Raises:
        UsageError: it cannot be read; an option is unknown, given twice, or of the wrong type.
    """
    text = small_text(path)
    if PROFILE.search(text[:HEAD]):
        hint = f"effattn profile --resume {path} continues its sweep"
        raise UsageError(f"{path}: this is a saved profile, not a sweep config", hint)
    root = tree(text, path)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path}: expected options, like 'seq: 1k..16k', one a line")
    options: dict[str, Any] = {}
    for key, node in root.value:
        name = _option(key, path)
        if name in options:
            raise UsageError(f"{path}: {key.value}: given twice")
        value = _value(name, node, f"{path}: {key.value}")
        if value is not None:
            options[name] = value
    return options


def written(options: Mapping[str, Any]) -> str:
    """Options, by their names, as `from_file` reads them."""
    plain = {
        name.replace("_", "-"): list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
    }
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def tree(text: str, path: Path) -> yaml.Node | None:
    """The YAML nodes, nothing made of them; never deep, no node twice."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line + 1 if event.start_mark else 1
            if depth > MAX_DEPTH:
                raise UsageError(f"{path}: line {line}: lists and mappings are nested too deeply")
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                hint = "put quotes around a word that starts with *, & or !"
                raise UsageError(f"{path}: line {line}: no aliases, anchors or tags here", hint)
        return yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from error


def _option(key: yaml.Node, path: Path) -> str:
    word = _text(key, str(path))
    name = word.replace("-", "_")
    if name not in OPTIONS:
        former = {old: f"{new}: {old}" for old, new in FORMER.items()}
        error = unknown("option", word, [item.replace("_", "-") for item in OPTIONS], former)
        raise UsageError(f"{path}: {error}", error.hint)
    return name


def _value(name: str, node: yaml.Node, place: str) -> Any:
    kind: Any = str | None if name in AXES else get_args(Request.__annotations__[name])[0]
    many = kind == tuple[str, ...]
    if isinstance(node, yaml.SequenceNode) and (many or name in AXES or name == "seq"):
        words = tuple(_text(item, f"{place}[{i}]") for i, item in enumerate(node.value))
        return words if many else ",".join(words)
    expected, read = READERS[kind]
    if isinstance(node, yaml.ScalarNode):
        if node.value in {"", "~", "null"} and kind in (str | None, int | None):
            return None
        try:
            return read(node.value)
        except (KeyError, ValueError):
            pass
    raise UsageError(f"{place}: expected {expected}, got {_shown(node)}")


def _text(node: yaml.Node, place: str) -> str:
    if isinstance(node.value, str) and node.value:
        return node.value
    raise UsageError(f"{place}: expected text, got {_shown(node)}")


def _shown(node: yaml.Node) -> str:
    if isinstance(node.value, str):
        return shortened(node.value) if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _some(text: str) -> str:
    if not text:
        raise ValueError
    return text


#: For each type of an option: what it is called, and how its text is read.
READERS: dict[object, tuple[str, Callable[[str], object]]] = {
    str: ("text", _some),
    str | None: ("text", _some),
    int: ("a whole number", int),
    int | None: ("a whole number", int),
    bool: ("true or false", lambda text: SWITCH[text.lower()]),
    tuple[str, ...]: ("text, or a list of it", lambda text: (_some(text),)),
}
