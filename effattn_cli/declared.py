"""What a variant's source text says: the card, the options, the code. Nothing is imported."""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

from effattn_cli.cards import Card, Causal, Kind, Option, SurveyRow, Value

RECORDS = {"Card": Card, "SurveyRow": SurveyRow}
CHOICES = {"causal": get_args(Causal), "kind": get_args(Kind)}
Node = ast.ClassDef | ast.FunctionDef
PARTS = Path(__file__).parent / "parts"
IMPORTED = re.compile(r"effattn_cli\.parts(?:\.(\w+)| import (\w+(?:, \w+)*|\([^)]*\)))")


def variant(text: str) -> tuple[Node, Card]:
    """The class or the decorated function, and its card.

    Raises:
        SyntaxError, ValueError, TypeError: there is not just one, or its card is not as it must be.
    """
    nodes = [node for node in ast.parse(text).body if isinstance(node, Node)]
    found = [(node, card) for node in nodes if (card := _card(node)) is not None]
    if len(found) != 1:
        raise ValueError(f"expected one class with a card, found {len(found)}")
    ((node, card),) = found
    return node, _checked(_record(card))


def _card(node: Node) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef):
        calls = [item for item in node.decorator_list if isinstance(item, ast.Call)]
        words = [word for call in calls for word in call.keywords if word.arg == "card"]
        return words[0].value if words else None
    plain = [(item.targets[0], item.value) for item in node.body if isinstance(item, ast.Assign)]
    typed = [(item.target, item.value) for item in node.body if isinstance(item, ast.AnnAssign)]
    return next((value for name, value in plain + typed if ast.unparse(name) == "card"), None)


def _checked(card: Any) -> Card:
    """The card, if what the catalogue shows of it has the right types."""
    if not isinstance(card, Card):
        raise TypeError("card must be Card(...)")
    for name, valid in CHOICES.items():
        if getattr(card, name) not in valid:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, valid))}")
    if not isinstance(card.lra, float | None):
        raise TypeError("lra must be a number like 53.46")
    lists = (card.families, card.requires, card.notes)
    if not all(isinstance(item, tuple) for item in lists) or not isinstance(card.exempt, dict):
        raise TypeError("families, requires and notes must be tuples, exempt a dictionary")
    texts = (card.title, card.paper, card.time, card.memory, *sum(lists, ()), *card.exempt)
    if not all(isinstance(text, str) for text in (*texts, *card.exempt.values())):
        raise TypeError("all but year, padding, survey and lra must be text")
    return card


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        why = "is not literal: write the value itself, it is read without importing the file"
        raise ValueError(f"{ast.unparse(node)!r} in line {node.lineno} {why}") from None


def _record(node: ast.expr) -> Any:
    """The record that a call of literals makes: Card(title="...", survey=SurveyRow(...))."""
    if not isinstance(node, ast.Call):
        return _literal(node)
    name = ast.unparse(node.func)
    if name not in RECORDS or node.args:
        raise ValueError(f"the card holds {name}(...): write literals, and keywords, only")
    return RECORDS[name](**{word.arg or "": _record(word.value) for word in node.keywords})


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
    found = (
        name for names in IMPORTED.findall(text) for name in re.findall(r"\w+", " ".join(names))
    )
    return {name for name in found if (PARTS / f"{name}.py").is_file()}


@cache
def _part(name: str) -> str:
    return (PARTS / f"{name}.py").read_text(encoding="utf-8")
