"""The options of `effattn profile` as the user writes them, on the command line or in a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, get_type_hints

import yaml

from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.option_values import SWITCH
from effattn_cli.plan.text_files import small_text
from effattn_cli.quantities import parse_bytes, parse_seconds, parse_share
from effattn_cli.ranges import LARGEST
from effattn_cli.records import Sampling

MAX_DEPTH = 2  # a mapping of lists
#: The options that hold comma lists; a file may give them, and tuples, as lists.
LISTS = {"seq", "batch", "device", "dtype", "threads", "phase", "scope", "padding", "cache"}
RANGES = {
    "dim": (1, LARGEST), "heads": (1, LARGEST), "kv_heads": (1, LARGEST), "head_dim": (1, LARGEST),
    "rounds": (1, 100), "seed": (0, 2**63 - 1),
}  # fmt: skip
#: Ten processes: what differs between them is most of what is not known, more samples tell little.
PRECISE = Sampling(rounds=10, precision=0.01)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to profile, in the user's words. None stands for "not given".

    Raises:
        UsageError: a number is out of range. Words are checked where they are read.
    """

    variant: tuple[str, ...] = ()
    seq: str = "1k..16k"
    batch: str | None = None  # 1
    tokens: str | None = None  # in a batch: its size is this by the length
    device: str = "auto"
    dtype: str = "float32"
    threads: str | None = None  # all cores
    phase: str = "forward"
    scope: str = "core"
    causal: bool = False
    padding: str = "0"
    dim: int | None = None  # 512, or what `like` has
    heads: int | None = None  # 8, or what `like` has
    kv_heads: int | None = None
    head_dim: int | None = None
    like: str | None = None
    compile: bool = False
    alloc: str = "retained"
    cache: str = "warm"
    baseline: str = "sdpa"
    time_limit: str = "40s"
    time_budget: str | None = None
    memory_limit: str | None = None
    precise: bool = False
    rounds: int | None = None  # 3, or 10 with `precise`
    precision: str | None = None  # 2%, or 1% with `precise`
    seed: int = 0
    plugin: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option}: {value} is out of range, from {low} to {high}")


def merged(flags: Mapping[str, object], config: Mapping[str, object]) -> Request:
    """The request that flags and a config file make; a flag that is None or () was not given."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in flags.items()}
    given = {name: value for name, value in plain.items() if value not in (None, ())}
    values: dict[str, Any] = {**config, **given}
    return Request(**values)


def sampling(request: Request) -> Sampling:
    """How the request wants its cells measured."""
    budget, memory = request.time_budget, request.memory_limit
    usual = PRECISE if request.precise else Sampling()
    return Sampling(
        rounds=request.rounds or usual.rounds,
        precision=_precision(request.precision) if request.precision else usual.precision,
        seed=request.seed,
        time_limit=parse_seconds(request.time_limit, "--time-limit"),
        time_budget=parse_seconds(budget, "--time-budget") if budget is not None else None,
        memory_limit=parse_bytes(memory, "--memory-limit") if memory is not None else None,
    )


def _precision(text: str) -> float:
    share = parse_share(text, "--precision")
    if 0.001 <= share <= 0.5:
        return share
    raise UsageError(f"--precision: {shortened(text)} is out of range, from 0.1% to 50%")


def from_file(path: Path) -> dict[str, object]:
    """The options in a YAML file, by their names in `Request`.

    Scalars are read as the text that stands there, by the option's type and not by YAML's: its
    rules make 90 of 1:30, 8 of 010, and False of no.

    Raises:
        UsageError: it cannot be read; an option is unknown, given twice, or of the wrong type.
    """
    root = _tree(small_text(path), path)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path}: expected options, like 'seq: 1k..16k', one a line")
    options: dict[str, object] = {}
    for key, node in root.value:
        name = _option(key, path)
        if name in options:
            raise UsageError(f"{path}: {key.value}: given twice")
        value = _value(name, node, f"{path}: {key.value}")
        if value is not None:
            options[name] = value
    return options


def _tree(text: str, path: Path) -> yaml.Node | None:
    """The YAML nodes, nothing made of them; never deep, no node twice."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line + 1 if event.start_mark else 1
            if depth > MAX_DEPTH:
                raise UsageError(f"{path}: line {line}: lists and mappings nest too deep")
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                hint = "put quotes around a word that starts with *, & or !"
                raise UsageError(f"{path}: line {line}: no aliases, anchors or tags here", hint)
        return yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from error


def _option(key: yaml.Node, path: Path) -> str:
    names = [item.name for item in fields(Request)]
    word = _text(key, str(path))
    name = word.replace("-", "_")
    if name not in names:
        error = unknown("option", word, [item.replace("_", "-") for item in names])
        raise UsageError(f"{path}: {error}", error.hint)
    return name


def _value(name: str, node: yaml.Node, place: str) -> object:
    kind = get_type_hints(Request)[name]
    many = kind == tuple[str, ...]
    if isinstance(node, yaml.SequenceNode) and (many or name in LISTS):
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


#: For each type in `Request`: what it is called, and how its text is read.
READERS: dict[object, tuple[str, Callable[[str], object]]] = {
    str: ("text", _some),
    str | None: ("text", _some),
    int: ("a whole number", int),
    int | None: ("a whole number", int),
    bool: ("true or false", lambda text: SWITCH[text.lower()]),
    tuple[str, ...]: ("text, or a list of it", lambda text: (_some(text),)),
}
