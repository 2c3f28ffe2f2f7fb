"""The catalogue of variants, the laws that one keeps, and the list of saved profiles."""

from collections.abc import Mapping

from msgspec import Struct

from effattn_cli.analysis.cost.scaling import Scaling
from effattn_cli.app.conformance import Finding
from effattn_cli.cards import Variant
from effattn_cli.run.jobs import Port
from effattn_cli.setting import Setting
from effattn_cli.store import Heading


class Variants(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The variants that were asked for, one or all, with their cards and options."""

    variants: tuple[Variant, ...]
    broken: Mapping[str, str]  # plugins that cannot be read, each with the reason
    #: By name, the exponents of the tokens that were counted; null without `--survey`.
    scalings: Mapping[str, Scaling | None] | None


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant held to the laws."""

    variant: str  # its label
    laws: tuple[Finding, ...]


class Graph(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A graph in a file, as an engine runs it, and its tensors in order."""

    path: str
    variant: str  # its label
    seq: int
    setting: Setting
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    bytes: int
    command: str  # that measures it


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: its head, or why it cannot be read."""

    name: str
    path: str
    heading: Heading | None = None
    broken: str | None = None


class Profiles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Saved profiles, the newest first, then the reference profiles; and evaluations."""

    profiles: tuple[Entry, ...]
    evaluations: tuple[Entry, ...]


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is known by name."""

    name: str
    family: str  # the model_type of its config
    layers: int
    dim: int
    parameters: int
    context: int | None  # positions that it was made for


class Presets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models that are known by name."""

    presets: tuple[Preset, ...]


class KindOfDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of document that a command prints."""

    kind: str
    key: str  # which holds the version
    version: int
    summary: str
    commands: tuple[str, ...]


class Kinds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All kinds of documents."""

    kinds: tuple[KindOfDocument, ...]
