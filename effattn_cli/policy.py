"""A choice that a service can load: up to how many tokens which variant, with which options.

    policy = Policy.read(Path("policy.yaml"))
    rule = policy.at(seq=30_000, batch=8)      # .variant, .options, .margins
    layer = policy.build(rule)                 # imports torch, and the variant

The file is plain YAML and holds no code; every type and range in it is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from effattn_cli import catalog, files
from effattn_cli.cards import Value
from effattn_cli.catalog import Catalog
from effattn_cli.errors import EffattnError
from effattn_cli.records import Alloc, Cache, Cell, Dtype, Phase, Scope
from effattn_cli.store import reading
from effattn_cli.store.checking import Wrong, checked
from effattn_cli.store.writing import dumped

if TYPE_CHECKING:
    from effattn_cli.attention import Attention

SCHEMA = 1
TITLE = "# A policy written by effattn: the first rule whose up_to is not below the length holds.\n"


class OutsidePolicy(EffattnError):
    """No rule covers the shape: nothing fitted the budget there, or it was not asked for."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What to use up to a length."""

    up_to: int  # tokens
    variant: str
    options: Mapping[str, Value] = field(default_factory=dict)
    basis: Literal["measured", "interpolated", "predicted"]  # of the least sure limit
    chance: float  # that every limit is kept
    margins: Mapping[str, float]  # the share of each limit that is left, at `up_to` tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What the rules hold for: a cell without its variant and its length."""

    batch: int
    dim: int
    heads: int
    kv_heads: int | None = None
    head_dim: int | None = None
    phase: Phase = "forward"
    scope: Scope = "core"
    causal: bool = False
    padding: float = 0.0
    device: str = "cpu"
    dtype: Dtype = "float32"
    threads: int = 1
    compile: bool = False
    alloc: Alloc = "retained"
    cache: Cache = "warm"

    def cell(self, rule: Rule) -> Cell:
        return Cell(variant=rule.variant, options=rule.options, seq=rule.up_to, **asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Rules for one shape on one machine, from the shortest length on."""

    created: str  # ISO 8601, UTC
    machine: str
    limits: Mapping[str, float]  # latency in seconds, memory in bytes, energy in joules
    latency_share: float | None = None  # of the calls that keep the latency; None: the median
    shape: Shape
    rules: tuple[Rule, ...]

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """The policy in a file.

        Raises:
            UsageError: it cannot be read, or is none; the message names the value that is wrong.
        """
        with reading.refused(str(path)):
            return _checked(reading.tree(reading.content(path)))

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        files.replace(path, (TITLE + dumped({"effattn_policy": SCHEMA} | asdict(self))).encode())

    def at(self, seq: int, batch: int = 1) -> Rule:
        """The rule for a shape: what keeps the budget at a length keeps it at shorter ones.

        Raises:
            OutsidePolicy: no rule reaches so far, or the batch is larger than the policy's.
        """
        if batch > self.shape.batch:
            raise OutsidePolicy(f"batch {batch} is more than the policy's {self.shape.batch}")
        found = next((rule for rule in self.rules if rule.up_to >= seq), None)
        if found is None or seq < 1:
            raise OutsidePolicy(f"no rule for {seq} tokens, they go up to {self.rules[-1].up_to}")
        return found

    def build(self, rule: Rule, plugins: Sequence[Path] = ()) -> "Attention":
        """The rule's module, with fresh weights, for up to `rule.up_to` tokens. Imports torch.

        A plugin's code is taken from `plugins` only, never from a place that the file names.
        """
        from effattn_cli.measure.workload import DTYPES, config  # noqa: PLC0415

        cell = self.shape.cell(rule)
        variant = catalog.load(rule.variant, Catalog(plugins).source(rule.variant).plugin)
        return variant(config(variant, cell)).to(self.shape.device, DTYPES[self.shape.dtype])


def _checked(document: Any) -> Policy:
    if not isinstance(document, dict) or "effattn_policy" not in document:
        raise Wrong("not an effattn policy (no key 'effattn_policy')")
    version = document.pop("effattn_policy")
    if type(version) is not int or version != SCHEMA:
        raise Wrong(f"schema version {str(version)[:20]!r}; this effattn reads {SCHEMA}")
    policy: Policy = checked(Policy, document)
    if not policy.rules:
        raise Wrong("rules: expected at least one")
    for before, after in pairwise(policy.rules):
        if after.up_to <= before.up_to:
            raise Wrong(f"rules: {after.up_to} tokens come after {before.up_to}")
    return policy
