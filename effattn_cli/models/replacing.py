"""Other layouts of a model: some of its layers with another mixer, at the same widths."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from msgspec.structs import replace

from effattn_cli.architecture import Layer, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.errors import UsageError, unknown
from effattn_cli.models.mixers import defaults, named, of_projections

ALL = "all"  # layers, whatever their kind


@dataclass(frozen=True, kw_only=True)
class Change:
    """Layers of one kind get another mixer, but for a share of them, evenly spread, that stay."""

    kind: str  # of the layers that are changed, as "full_attention"; or ALL
    variant: str
    options: Mapping[str, Stored]  # as typed, also at their defaults
    keep: Fraction = Fraction(0)

    @property
    def label(self) -> str:
        """The new mixer as it is typed."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.variant}:{options}" if options else self.variant


def kinds(model: Model) -> list[str]:
    """The kinds of its mixers, in the order in which they first occur."""
    return list(dict.fromkeys(layer.mixer.kind for layer in model.layers if layer.mixer))


def kind_of(model: Model, word: str) -> str:
    """The kind that a word names by its beginning: `full` is "full_attention".

    Raises:
        UsageError: the model has no such layers.
    """
    there = kinds(model)
    if word == ALL:
        return ALL
    begun = [kind for kind in there if kind.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    if word in there:
        return word
    raise unknown("kind of layer", word, [*there, ALL])


def changed(model: Model, change: Change) -> Model:
    """The model in the layout that the change makes.

    Raises:
        UsageError: no layer is of that kind, or the mixer's parameters are not known.
    """
    indices = list(_places(model.layers, change.kind))
    if not indices:
        raise UsageError(f"{model.name} has no layer of the kind {change.kind!r}")
    kept = set(spread(len(indices), change.keep))
    layers = list(model.layers)
    for number, index in enumerate(indices):
        if number not in kept:
            layers[index] = _with(model, layers[index], change)
    kept_text = f", {len(kept)} of {len(indices)} kept" if kept else ""
    word = "all" if change.kind == ALL else change.kind.removesuffix("_attention")
    return model.having(
        name=f"{model.name}, {word}={change.label}{kept_text}", layers=tuple(layers)
    )


def _places(layers: Sequence[Layer], kind: str) -> Iterator[int]:
    for index, layer in enumerate(layers):
        if layer.mixer is not None and kind in (ALL, layer.mixer.kind):
            yield index


def spread(count: int, fraction: Fraction) -> Iterator[int]:
    """Numbers below `count`, evenly spread, as many as the fraction makes: the last of each group,
    as in models that are hybrids.

    >>> list(spread(8, Fraction(1, 4)))
    [3, 7]
    """
    wanted = round(count * fraction)
    return (
        number
        for number in range(count)
        if (number + 1) * wanted // count > number * wanted // count
    )


def _with(model: Model, layer: Layer, change: Change) -> Layer:
    """The layer with the new mixer, which does to queries and keys what the old one does unless
    the change says otherwise.
    """
    old = layer.mixer
    assert old is not None
    usual = defaults(change.variant)
    carried = {name: value for name, value in of_projections(old).items() if name in usual}
    options = {
        name: value
        for name, value in {**carried, **change.options}.items()
        if name not in usual or value != usual[name]
    }
    mixer = named(
        change.variant, options, dim=model.dim, heads=old.heads, kv_heads=old.kv_heads,
        head_dim=old.head_dim,
    )  # fmt: skip
    return replace(layer, mixer=mixer)


def same_projections(old: Mixer, new: Mixer) -> bool:
    """Whether both have queries and keys of the same widths, and do the same to them."""
    widths = (old.heads, old.kv_heads, old.head_dim) == (new.heads, new.kv_heads, new.head_dim)
    return widths and of_projections(old) == of_projections(new)
