"""The answer of `effattn model`: layers, parameters, and the memory that a model takes."""

from collections.abc import Mapping

from msgspec import Struct

from effattn_cli.architecture import CacheForm, Layer, Weights
from effattn_cli.machine import Count
from effattn_cli.models.budget import Line
from effattn_cli.setting import Dtype


class CountedLayer(Layer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer, and how many of the model are like it."""

    count: Count


class MemoryAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes for a context and a batch size."""

    context: int
    batch: int
    lines: Mapping[Line, int]  # by what takes them
    total: int  # what the architecture needs
    allocated: int  # what an engine with pages of one size allocates
    page: int


class FitAt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The longest context within the limit, for a batch size; 0: not even one token."""

    batch: int
    context: int  # by what the architecture needs
    paged: int  # by what an engine allocates


class Layout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout of the model: the first is the model as it is."""

    name: str
    family: str
    dim: int
    vocab: int
    dtype: Dtype
    context: int | None
    parameters: int
    embedding: int
    head: int
    tied: bool
    other: int
    layers: tuple[CountedLayer, ...]  # those that differ
    order: tuple[int, ...]  # places in `layers`
    notes: tuple[str, ...]
    budgets: tuple[MemoryAt, ...]
    fits: tuple[FitAt, ...]


class ModelMemory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model and its other layouts, and the memory that each takes."""

    units: Mapping[str, str]
    weights: Weights | None  # null: as the model's dtype
    cache: CacheForm | None  # of keys and values; null: as the model's dtype
    chunk: int  # tokens of a prompt that are read at once
    training: bool
    limit: int | None  # bytes there are
    layouts: tuple[Layout, ...]
