"""Every kind of document that is printed: its record, its version, its text, its JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from effattn_cli import store
from effattn_cli.errors import unknown
from effattn_cli.evaluation import Evaluation
from effattn_cli.records import Profile
from effattn_cli.report.documents import (
    catalogs,
    choices,
    comparisons,
    fleets,
    models,
    outcomes,
    sweeps,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of document."""

    name: str
    record: type[Struct]
    commands: tuple[str, ...]  # that print it
    version: int = 1  # another one where a key is gone, or means something else

    @property
    def key(self) -> str:
        """The first key of a document, which holds the version."""
        return f"effattn_{self.name}"

    @property
    def summary(self) -> str:
        """What is said of its record."""
        return " ".join((self.record.__doc__ or "").split())


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="profile", record=Profile, version=store.PROFILE.schema,
            commands=("profile", "show", "devices", "export --format json"),
        ),
        Kind(name="plan", record=sweeps.Plan, commands=("profile --dry-run",)),
        Kind(
            name="fleet", record=fleets.Fleet,
            commands=("profile --on", "profile --on --dry-run"),
        ),
        Kind(
            name="evaluation", record=Evaluation, version=store.EVALUATION.schema,
            commands=("evaluate",),
        ),
        Kind(name="model", record=models.ModelMemory, commands=("model",)),
        Kind(name="choice", record=choices.Choice, commands=("choose",)),
        Kind(name="model_choice", record=choices.ModelChoice, commands=("choose --model",)),
        Kind(name="comparison", record=comparisons.Comparisons, version=2, commands=("compare",)),
        Kind(name="crossovers", record=sweeps.Crossovers, commands=("crossover",)),
        Kind(name="profiles", record=catalogs.Profiles, commands=("profiles",)),
        Kind(name="variants", record=catalogs.Variants, commands=("variants",)),
        Kind(name="presets", record=catalogs.Presets, commands=("presets",)),
        Kind(name="check", record=catalogs.Check, commands=("check",)),
        Kind(name="graph", record=catalogs.Graph, commands=("export-model",)),
        Kind(name="kinds", record=catalogs.Kinds, commands=("schema",)),
        Kind(
            name="saved", record=outcomes.Saved,
            commands=("report", "score", "merge", "export --out", "new"),
        ),
        Kind(name="error", record=outcomes.Problem, commands=("every command",)),
    )
}  # fmt: skip
BY_RECORD: Mapping[type, Kind] = {kind.record: kind for kind in KINDS.values()}


def text(record: Struct) -> str:
    """The document of a record: ASCII, every key there, a number that is not finite null."""
    kind = BY_RECORD[type(record)]
    return store.json_text({kind.key: kind.version} | msgspec.structs.asdict(record))


def listed() -> catalogs.Kinds:
    """The kinds themselves, as a document."""
    return catalogs.Kinds(
        kinds=tuple(
            catalogs.KindOfDocument(
                kind=kind.name, key=kind.key, version=kind.version, summary=kind.summary,
                commands=tuple(f"effattn {command}" if command != "every command" else command
                               for command in kind.commands),
            )
            for kind in KINDS.values()
        )
    )  # fmt: skip


def find(name: str) -> Kind:
    """The kind of that name, or of the key that holds its version.

    Raises:
        UsageError: there is none; the nearest is the hint.
    """
    bare = name.lower().removeprefix("effattn_").replace("-", "_")
    if bare not in KINDS:
        raise unknown("kind of document", name, KINDS)
    return KINDS[bare]


def schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of what is printed: every key of a record is there, and no other."""
    made = msgspec.json.schema(kind.record)
    parts = {name: _exact(part) for name, part in made["$defs"].items()}
    top = parts.pop(made["$ref"].rpartition("/")[2])
    version = {"const": kind.version}
    return {
        "$schema": DIALECT,
        "title": kind.key,
        "description": kind.summary,
        "type": "object",
        "properties": {kind.key: version} | top["properties"],
        "required": [kind.key, *top["required"]],
        "additionalProperties": False,
        "$defs": parts,
    }


def _exact(part: dict[str, Any]) -> dict[str, Any]:
    """What is read may leave out a key; what is printed has all of them, usual values too."""
    if "properties" not in part:
        return part
    properties = {name: _without_default(each) for name, each in part["properties"].items()}
    about = {"description": " ".join(part["description"].split())} if "description" in part else {}
    return part | about | {
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def _without_default(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "default"}


def schema_text(kind: Kind) -> str:
    return store.json_text(schema(kind))
