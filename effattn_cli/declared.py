"""What a variant's source text says: the card, the options, the code. Nothing is imported."""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from effattn_cli.cards import PLAIN_PARAMETERS, Card, Option, Value, plain_card
from effattn_cli.documents import Wrong, converted

RECORDS = {"Card", "SurveyRow"}
Node = ast.ClassDef | ast.FunctionDef
PARTS = Path(__file__).parent / "parts"
IMPORTED = re.compile(r"effattn_cli\.parts(?:\.(\w+)| import (\w+(?:, \w+)*|\([^)]*\)))")
CONTRACT, DECODABLE = "effattn_cli.attention", "Decodable"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a source text says of its variant."""

    node: Node
    card: Card
    options: tuple[Option, ...]
    decodes: bool
    plain: bool  # a torch.nn.Module that does not keep to the contract


def read(text: str, class_name: str | None = None) -> Declared:
    """What the text says of its only variant, or of the class of that name.

    Raises:
        SyntaxError, ValueError, TypeError: there is not just one, or its card or its options are
            not as they must be.
    """
    tree = ast.parse(text)
    node, card = _variant(tree, class_name)
    if card is None:
        assert isinstance(node, ast.ClassDef)
        parameters = _parameters(node)
        own = plain_card(node.name, [name for name, *_ in parameters])
        own_options = tuple(_plain_options(node.name, parameters))
        return Declared(node=node, card=own, options=own_options, decodes=False, plain=True)
    checked = _checked(card)
    decoding = checked.kind == "feed-forward" or decodes(node.name, tree)
    every = tuple(options(node, tree))
    return Declared(node=node, card=checked, options=every, decodes=decoding, plain=False)


def _variant(tree: ast.Module, class_name: str | None) -> tuple[Node, ast.expr | None]:
    """The class or the decorated function, and its card; a plain module need not have one."""
    nodes = [node for node in tree.body if isinstance(node, Node)]
    if class_name is not None:
        named = [node for node in nodes if node.name == class_name]
        if not named:
            raise ValueError(f"there is no class {class_name!r}")
        return named[0], _card(named[0])
    carded = [(node, card) for node in nodes if (card := _card(node)) is not None]
    modules = [node for node in nodes if _is_module(node)]
    if not carded and len(modules) == 1:
        return modules[0], None
    if len(carded) != 1:
        names = [node.name for node in modules]
        which = f", and of plain modules {', '.join(names)}: name one" if names else ""
        raise ValueError(f"expected one class with a card, found {len(carded)}{which}")
    return carded[0]


def _is_module(node: Node) -> bool:
    """Whether it is plainly a `torch.nn.Module`, and meant for others."""
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    named = {ast.unparse(base) for base in bases} & {"nn.Module", "torch.nn.Module", "Module"}
    return bool(named) and not node.name.startswith("_")


def _parameters(node: ast.ClassDef) -> list[tuple[str, ast.expr | None, ast.expr | None]]:
    """Name, annotation and default of each parameter of `__init__`, without self."""
    functions = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    init = next((item.args for item in functions if item.name == "__init__"), None)
    if init is None:
        return []
    plain = [*init.posonlyargs, *init.args]
    none: list[ast.expr | None] = [None] * (len(plain) - len(init.defaults))
    defaults = [*none, *init.defaults, *init.kw_defaults]
    pairs = zip([*plain, *init.kwonlyargs], defaults, strict=True)
    return [(item.arg, item.annotation, default) for item, default in pairs][1:]


def _plain_options(
    name: str, parameters: Iterable[tuple[str, ast.expr | None, ast.expr | None]]
) -> Iterator[Option]:
    for parameter, annotation, default in parameters:
        if parameter in PLAIN_PARAMETERS:
            continue
        if default is None:
            names = ", ".join(PLAIN_PARAMETERS)
            why = "has no default, and is no size that effattn can give"
            raise ValueError(f"{name}: its parameter {parameter!r} {why} ({names})")
        try:
            value = ast.literal_eval(default)
        except ValueError:
            continue  # its own business
        if isinstance(value, Value | None):
            kind = ast.unparse(annotation) if annotation else type(value).__name__
            yield Option(name=parameter, type=kind, default=value)


def _card(node: Node) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef):
        calls = [item for item in node.decorator_list if isinstance(item, ast.Call)]
        words = [word for call in calls for word in call.keywords if word.arg == "card"]
        return words[0].value if words else None
    plain = [(item.targets[0], item.value) for item in node.body if isinstance(item, ast.Assign)]
    typed = [(item.target, item.value) for item in node.body if isinstance(item, ast.AnnAssign)]
    return next((value for name, value in plain + typed if ast.unparse(name) == "card"), None)


def _checked(node: ast.expr) -> Card:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Card":
        raise TypeError("card must be Card(...)")
    try:
        return converted(Card, _plain(node))
    except Wrong as error:
        raise ValueError(f"card: {error}{f' ({error.hint})' if error.hint else ''}") from None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        why = "is not literal: write the value itself, it is read without importing the file"
        raise ValueError(f"{ast.unparse(node)!r} in line {node.lineno} {why}") from None


def _plain(node: ast.expr) -> Any:
    """The literals of Card(title="...", survey=SurveyRow(...)), a call as a dictionary."""
    if not isinstance(node, ast.Call):
        return _literal(node)
    name = ast.unparse(node.func)
    if name not in RECORDS or node.args:
        raise ValueError(f"the card holds {name}(...): write literals, and keywords, only")
    return {word.arg or "": _plain(word.value) for word in node.keywords}


def options(node: Node, tree: ast.Module) -> Iterator[Option]:
    """The fields of the nested Config: name, type, default, and the text below each.

    First those of its bases, as far as classes of its own file and of the parts lead there.
    """
    own = {option.name: option for option in _own_options(node)}
    for base in node.bases if isinstance(node, ast.ClassDef) else ():
        parent = _class(_name(base), tree)
        for option in options(*parent) if parent is not None else ():
            yield own.pop(option.name, option)
    yield from own.values()


def _own_options(node: Node) -> Iterator[Option]:
    inner = [item for item in node.body if isinstance(item, ast.ClassDef)]
    body = next((item.body for item in inner if item.name == "Config"), [])
    for item, after in zip(body, [*body[1:], None], strict=False):
        if not isinstance(item, ast.AnnAssign):
            continue
        default = None if item.value is None else _literal(item.value)
        if not isinstance(default, Value | None):
            raise TypeError(f"the default of {ast.unparse(item.target)} must be a number or a text")
        is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        yield Option(
            name=ast.unparse(item.target),
            type=ast.unparse(item.annotation),
            default=default,
            help=" ".join(str(after.value.value).split()) if is_doc else "",  # type: ignore[union-attr]
        )


def decodes(name: str, tree: ast.Module) -> bool:
    """Whether the class of that name derives from the contract's `Decodable`, as far as classes of
    its own file and of the parts lead there.
    """
    if _imported_from(name, tree) == (CONTRACT, DECODABLE):
        return True
    class_node = _class(name, tree)
    if class_node is None:
        return False
    node, tree = class_node
    return any(decodes(_name(base), tree) for base in node.bases)


def _class(name: str, tree: ast.Module) -> tuple[ast.ClassDef, ast.Module] | None:
    """The class of that name and the file that it is in: this one, or a part that it imports."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, tree
    module, original = _imported_from(name, tree)
    part = module.removeprefix("effattn_cli.parts.")
    if part == module or not (PARTS / f"{part}.py").is_file():
        return None
    return _class(original, _parsed(part))


def _imported_from(name: str, tree: ast.Module) -> tuple[str, str]:
    """The module, and the name that it has there; nothing where it is not imported."""
    for item in tree.body:
        for alias in item.names if isinstance(item, ast.ImportFrom) else ():
            if (alias.asname or alias.name) == name:
                assert isinstance(item, ast.ImportFrom)
                return item.module or "", alias.name
    return "", ""


def _name(base: ast.expr) -> str:
    """Of `Decodable[Cache]` and `attention.Decodable` the last name."""
    if isinstance(base, ast.Subscript):
        return _name(base.value)
    return base.attr if isinstance(base, ast.Attribute) else ast.unparse(base)


@cache
def _parsed(name: str) -> ast.Module:
    return ast.parse(_part(name))


def code(text: str) -> str:
    """What identifies the code that runs: a hash of the text, and of all parts that it imports."""
    names, left = set[str](), _imported(text)
    while left:
        names |= left
        left = set[str]().union(*map(_imported, map(_part, left))) - names
    whole = "".join([text, *map(_part, sorted(names))])
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def _imported(text: str) -> set[str]:
    """Names of the parts that a text imports; those that there are."""
    named = (
        name for names in IMPORTED.findall(text) for name in re.findall(r"\w+", " ".join(names))
    )
    return {name for name in named if (PARTS / f"{name}.py").is_file()}


@cache
def _part(name: str) -> str:
    return (PARTS / f"{name}.py").read_text(encoding="utf-8")
