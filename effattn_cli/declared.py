"""What a variant's source text says: the card, the options, the code. Nothing is imported."""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from effattn_cli.cards import Card, Option, Value
from effattn_cli.decoding import Wrong, converted

RECORDS = {"Card", "SurveyRow"}
Node = ast.ClassDef | ast.FunctionDef
PARTS = Path(__file__).parent / "parts"
IMPORTED = re.compile(r"effattn_cli\.parts(?:\.(\w+)| import (\w+(?:, \w+)*|\([^)]*\)))")
CONTRACT, DECODABLE = "effattn_cli.attention", "Decodable"


def variant(tree: ast.Module) -> tuple[Node, Card]:
    """The class or the decorated function, and its card.

    Raises:
        ValueError, TypeError: there is not just one, or its card is not as it must be.
    """
    nodes = [node for node in tree.body if isinstance(node, Node)]
    carded = [(node, card) for node in nodes if (card := _card(node)) is not None]
    if len(carded) != 1:
        raise ValueError(f"expected one class with a card, found {len(carded)}")
    ((node, card),) = carded
    return node, _checked(card)


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


def options(node: Node) -> Iterator[Option]:
    """The fields of the nested Config: name, type, default, and the text below each."""
    inner = [item for item in node.body if isinstance(item, ast.ClassDef)]
    body = next((item.body for item in inner if item.name == "Config"), [])
    for item, after in zip(body, [*body[1:], None], strict=False):
        if not isinstance(item, ast.AnnAssign):
            continue
        default = None if item.value is None else _literal(item.value)
        if not isinstance(default, Value | None):
            raise TypeError(f"the default of {ast.unparse(item.target)} must be a number or a text")
        told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        yield Option(
            name=ast.unparse(item.target),
            type=ast.unparse(item.annotation),
            default=default,
            help=str(after.value.value) if told else "",  # type: ignore[union-attr]
        )


def decodes(name: str, tree: ast.Module) -> bool:
    """Whether the class of that name derives from the contract's `Decodable`, as far as classes of
    its own file and of the parts lead there.
    """
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is not None:
        return any(decodes(_name(base), tree) for base in node.bases)
    imports = (item for item in tree.body if isinstance(item, ast.ImportFrom))
    for item in imports:
        for alias in item.names:
            if (alias.asname or alias.name) == name:
                return _is_decodable(item.module or "", alias.name)
    return False


def _name(base: ast.expr) -> str:
    """Of `Decodable[Cache]` and `attention.Decodable` the last name."""
    if isinstance(base, ast.Subscript):
        return _name(base.value)
    return base.attr if isinstance(base, ast.Attribute) else ast.unparse(base)


def _is_decodable(module: str, name: str) -> bool:
    if module == CONTRACT:
        return name == DECODABLE
    part = module.removeprefix("effattn_cli.parts.")
    known = part != module and (PARTS / f"{part}.py").is_file()
    return known and decodes(name, _parsed(part))


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
