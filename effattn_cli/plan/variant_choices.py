"""Which variants are meant: names, globs, families, and options given inline.

`linformer:rank=64,128,sharing=none` is one choice per combination. After `key=value`, an item
without `=` is a further value if the option can take it, else it names the next variant.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property

from effattn_cli.cards import RENAMED, Option, Value, Variant
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.option_values import convert, spellings

MOST = 10_000  # choices
#: What can be given inline for every variant, besides its own options.
SHAPE = tuple(
    Option(name=name, type="positive int", default=None)
    for name in ("dim", "heads", "kv_heads", "head_dim")
)
GROUPS = ("all", "survey", "deployed", "own")  # words for many variants
AXES = {"tokens": "--seq", "causal": "--causal"}  # these belong to the sweep, not to a variant


@dataclass(frozen=True)
class Choice:
    """A variant and those of its options that differ from their defaults."""

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)
    of_model: bool = False  # what a model uses, with options of its layers
    #: All options that were typed, also those at their defaults.
    typed: Mapping[str, Value] = field(default_factory=dict, compare=False)

    @property
    def label(self) -> str:
        """As it is typed: `linformer:rank=64`."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


@dataclass
class _Term:
    """One item of a --variant, with the options that follow it."""

    pattern: str
    removes: bool
    variant: Variant | None = None  # where options follow
    option: Option | None = None  # the one that a further value would belong to
    values: dict[str, list[Value | None]] = field(default_factory=dict)


def select(
    words: Sequence[str], catalog: Catalog, own: Callable[[], Sequence[str]] | None = None
) -> tuple[Choice, ...]:
    """The choices that the words of --variant stand for, in their order, each once.

    `own` gives the words that the word "own" stands for.

    Raises:
        UsageError: a name, an option or a value is not known, or nothing is left.
        BrokenPlugin: a variant that is asked for by its name cannot be read.
    """
    reader = _Reader(catalog, own)
    terms = [term for word in words for term in reader.terms(word)]
    added = [choice for term in terms if not term.removes for choice in reader.choices(term)]
    chosen = {_key(choice): choice for choice in added}
    for term in terms:
        if term.removes:
            gone = {_key(choice) for choice in reader.choices(term)}
            if not term.values:  # a bare name takes its choices away, whatever their options
                names = {key[0] for key in gone}
                gone = {key for key in chosen if key[0] in names}
            chosen = {key: choice for key, choice in chosen.items() if key not in gone}
    if words and not chosen:
        raise UsageError(f"no variant is left of {','.join(words)!r}")
    return tuple(chosen.values())


def _key(choice: Choice) -> tuple[object, ...]:
    return choice.name, *choice.options.items()


class _Reader:
    """Reads the words of --variant by the names, families and options in a catalogue."""

    def __init__(self, catalog: Catalog, own: Callable[[], Sequence[str]] | None = None) -> None:
        self._catalog, self._own = catalog, own
        self._names = catalog.names()

    @cached_property
    def _readable(self) -> dict[str, Variant]:
        """All but the broken plugins, which harm only those who ask for them by name."""
        variants = {}
        for name in self._names:
            try:
                variants[name] = self._catalog.variant(name)
            except BrokenPlugin:
                continue
        return variants

    def terms(self, word: str) -> list[_Term]:
        terms: list[_Term] = []
        for item in (part.strip() for part in word.split(",")):
            if not item:
                raise UsageError(f"the name of a variant is missing in {word!r}")
            before = terms[-1] if terms else None
            if before is None or not self._goes_on(before, item):
                terms.append(self._start(item, before))
        return terms

    def _goes_on(self, term: _Term, item: str) -> bool:
        """Whether the item belongs to the options of `term`, which has taken it then."""
        if term.variant is None or term.option is None:
            return False
        key, equals, _ = item.partition("=")
        if equals and ":" not in key:
            _take(term, term.variant, item)
            return True
        # Free text could be anything, so there a name comes first.
        if "str" in term.option.type.split(" | ") and self._is_name(item):
            return False
        try:
            value = convert(term.pattern, term.option, item)
        except UsageError:
            return False
        term.values[term.option.name].append(value)
        return True

    def _is_name(self, item: str) -> bool:
        return item in {*GROUPS, *RENAMED, *self._names} or bool(re.search(r"[!:*?\[]", item))

    def _start(self, item: str, before: _Term | None) -> _Term:
        body = item.removeprefix("!")
        head, colon, rest = body.partition(":")
        if colon and head != "family":
            variant = self._catalog.variant(head)
            term = _Term(variant.name, item != body, variant)
            _take(term, variant, rest)
            return term
        if "=" in body:
            hint = f"did you mean '{before.pattern}:{body}'?" if before else None
            raise UsageError(f"the option {body!r} belongs to no variant", hint)
        if before and before.option and not self._is_name(item):
            what = f"variant or {before.option.name} of {before.pattern}"
            raise unknown(what, item, [*self._names, *spellings(before.option)])
        return _Term(body, item != body)

    def choices(self, term: _Term) -> list[Choice]:
        if term.pattern == "own" and self._own is not None:
            return [replace(choice, of_model=True) for choice in select(self._own(), self._catalog)]
        if term.variant is None:
            return [Choice(name) for name in self._matching(term.pattern)]
        if math.prod(map(len, term.values.values())) > MOST:
            raise UsageError(f"{term.pattern!r} stands for more than {MOST:,} choices of options")
        options = _options(term.variant)
        names = [name for name in options if name in term.values]  # in one order, so labels agree
        combinations = itertools.product(*(term.values[name] for name in names))
        return [
            _choice(term.pattern, options, dict(zip(names, values, strict=True)))
            for values in combinations
        ]

    def _matching(self, pattern: str) -> Iterable[str]:
        head, colon, family = pattern.partition(":")
        if colon:
            families = {word for v in self._readable.values() for word in v.card.families}
            if family not in families:
                raise unknown(head, family, families)
            return [name for name, v in self._readable.items() if family in v.card.families]
        if pattern == "all":
            return self._readable
        if pattern == "survey":
            return [name for name, v in self._readable.items() if v.card.survey]
        if pattern == "deployed":
            return [name for name, v in self._readable.items() if v.card.deployed]
        if re.search(r"[*?\[]", pattern):
            matches = [name for name in self._readable if fnmatchcase(name, pattern)]
            if not matches:
                raise unknown("variant", pattern, self._names)
            return matches
        return [self._catalog.variant(pattern).name]


def _options(variant: Variant) -> dict[str, Option]:
    """What can be given inline, the variant's own options first."""
    own = {option.name: option for option in variant.options if option.name not in AXES}
    return own | {option.name: option for option in SHAPE if option.name not in own}


def _take(term: _Term, variant: Variant, item: str) -> None:
    """Adds `key=value` to the term."""
    key, equals, text = item.partition("=")
    name, options = key.strip().replace("-", "_"), _options(variant)
    if not equals:
        example = f"{variant.name}:{next(iter(options))}=..."
        raise UsageError(f"option {key!r} of {variant.name} has no value", f"write {example!r}")
    if name in AXES:
        hint = f"give {AXES[name]}, for all variants"
        raise UsageError(f"{name!r} is not an option of {variant.name} alone", hint)
    if name not in options:
        raise unknown(f"option of {variant.name}", key, options)
    term.option = options[name]
    value = convert(variant.name, term.option, text.strip())
    term.values.setdefault(name, []).append(value)


def _choice(name: str, options: Mapping[str, Option], values: Mapping[str, Value | None]) -> Choice:
    """Without defaults, so that equal cells are equal however they were asked for."""
    typed = {option: value for option, value in values.items() if value is not None}
    unusual = {option: value for option, value in typed.items() if value != options[option].default}
    return Choice(name, unusual, typed=typed)
