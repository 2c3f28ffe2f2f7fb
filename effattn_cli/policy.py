"""A choice that a service can load: up to how many tokens which variant, with which options.

    policy = Policy.read(Path("policy.yaml"))
    rule = policy.at(seq=30_000, batch=8)      # .variant, .options, .margins
    layer = policy.build(rule)                 # imports torch, and the variant

The file is plain YAML and holds no code; every type and range in it is looked at.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, field, structs

from effattn_cli import catalog, files
from effattn_cli.architecture import Model
from effattn_cli.cards import Stored
from effattn_cli.catalog import Catalog
from effattn_cli.documents import Wrong, converted
from effattn_cli.errors import EffattnError
from effattn_cli.estimate import Basis
from effattn_cli.machine import Count, Positive
from effattn_cli.models.cells import mixer_cell
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from effattn_cli.store import plain_yaml, reading, upgrading
from effattn_cli.store.writing import dumped

if TYPE_CHECKING:
    from effattn_cli.attention import Attention, Layer

SCHEMA = 2
TITLE = "# A policy written by effattn: the first rule whose up_to is not below the length holds.\n"


LAYOUT_SCHEMA = 1
LAYOUT_TITLE = "# A layout written by effattn: the layers of a model, each with its mixer.\n"


class LayoutPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layout of a model that was chosen, for a service to build its mixers from.

    policy = LayoutPolicy.read(Path("policy.yaml"))
    mixers = policy.build()                # imports torch: a module for each layer
    """

    created: str  # ISO 8601, UTC
    machine: str | None  # where its times were measured; None: they were not
    context: Count  # tokens that it is to hold
    batch: Count
    weights: str | None  # the form of the layers' weights; None: the model's dtype
    cache: str | None = None  # the form of keys and values; None: the model's dtype
    swap: str  # what it asks of the model's weights
    limits: Mapping[str, Positive]  # bytes, seconds, tokens a second, an error, recalled pairs
    model: Model

    @classmethod
    def read(cls, path: Path) -> "LayoutPolicy":
        """The layout in a file.

        Raises:
            UsageError: it cannot be read, or is none; the message names the value that is wrong.
        """
        with reading.refused(str(path)):
            document = plain_yaml.tree(reading.content(path))
            if not isinstance(document, dict) or "effattn_layout" not in document:
                raise Wrong("not an effattn layout (no key 'effattn_layout')")
            reading.schema(document.pop("effattn_layout"), LAYOUT_SCHEMA)
            return converted(cls, document)

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        text = LAYOUT_TITLE + dumped({"effattn_layout": LAYOUT_SCHEMA} | structs.asdict(self))
        files.replace(path, text.encode())

    def build(self) -> "list[Layer | None]":
        """The mixer of each layer, with fresh weights, None where there is none. Imports torch."""
        from effattn_cli.measure.modules import DTYPES, config  # noqa: PLC0415

        setting = Setting(dtype=self.model.dtype)
        made: list[Layer | None] = []
        for layer in self.model.layers:
            if layer.mixer is None:
                made.append(None)
                continue
            cell = mixer_cell(self.model, layer.mixer, self.context, setting)
            variant = catalog.load(cell.variant)
            made.append(variant(config(variant, cell)).to(DTYPES[self.model.dtype]))
        return made


class OutsidePolicy(EffattnError):
    """No rule covers the shape: nothing fitted the budget there, or it was not asked for."""

    exit_code = 1


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to use up to a length."""

    up_to: Count  # tokens
    variant: str
    options: Mapping[str, Stored] = field(default_factory=dict)
    basis: Basis  # of the least sure limit
    probability: Annotated[float, Meta(ge=0, le=1)]  # that every limit is kept
    margins: Mapping[str, float]  # the fraction of each limit that is left, at `up_to` tokens


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for one setting on one machine, from the shortest length on."""

    created: str  # ISO 8601, UTC
    machine: str
    limits: Mapping[str, Positive]  # latency in seconds, memory in bytes, energy in joules
    latency_share: Annotated[float, Meta(gt=0, lt=1)] | None = None  # of calls; None: the median
    shape: Setting  # what the rules hold for: widths, device, dtype, phase and the rest
    rules: Annotated[tuple[Rule, ...], Meta(min_length=1)]

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """The policy in a file.

        Raises:
            UsageError: it cannot be read, or is none; the message names the value that is wrong.
        """
        with reading.refused(str(path)):
            return _checked(plain_yaml.tree(reading.content(path)))

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        files.replace(
            path, (TITLE + dumped({"effattn_policy": SCHEMA} | structs.asdict(self))).encode()
        )

    def at(self, seq: int, batch: int = 1) -> Rule:
        """The rule for a shape: what keeps the budget at a length keeps it at shorter ones.

        Raises:
            OutsidePolicy: no rule reaches so far, or the batch is larger than the policy's.
        """
        if batch > self.shape.batch:
            raise OutsidePolicy(f"batch {batch} is more than the policy's {self.shape.batch}")
        first_rule = next((rule for rule in self.rules if rule.up_to >= seq), None)
        if first_rule is None or seq < 1:
            raise OutsidePolicy(f"no rule for {seq} tokens, they go up to {self.rules[-1].up_to}")
        return first_rule

    def build(self, rule: Rule, plugins: Sequence[Path] = ()) -> "Attention":
        """The rule's module, with fresh weights, for up to `rule.up_to` tokens. Imports torch.

        A plugin's code is taken from `plugins` only, never from a place that the file names.
        """
        from effattn_cli.measure.modules import DTYPES, config  # noqa: PLC0415

        cell = Cell(variant=rule.variant, options=rule.options, seq=rule.up_to, setting=self.shape)
        variant = catalog.load(rule.variant, Catalog(plugins).source(rule.variant).plugin)
        return variant(config(variant, cell)).to(self.shape.device, DTYPES[self.shape.dtype])


def _checked(document: Any) -> Policy:
    if not isinstance(document, dict) or "effattn_policy" not in document:
        raise Wrong("not an effattn policy (no key 'effattn_policy')")
    version = reading.schema(document.pop("effattn_policy"), SCHEMA)
    policy = converted(Policy, upgrading.policy(document) if version == 1 else document)
    for before, after in pairwise(policy.rules):
        if after.up_to <= before.up_to:
            raise Wrong(f"rules: {after.up_to} tokens come after {before.up_to}")
    return policy
