"""Files of earlier versions of the format, as the present one has them.

Version 1 had the axes of a setting in the cell itself, `compile` in the place of an engine, and
other names for some parts.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from effattn_cli.cards import RENAMED
from effattn_cli.evaluation import Evaluation
from effattn_cli.records import Profile
from effattn_cli.setting import AXES

DocumentT = TypeVar("DocumentT", Profile, Evaluation)

#: The names of version 1, and what became of them.
RECORD = {"rounds": "runs"}
RUN = {"foreign_load": "background_load", "contended": "discarded"}
GPU = {"brakes": "throttle_reasons"}
BANDWIDTH = {"touched": "working_set_bytes"}
RULE = {"chance": "probability"}


def head(data: dict[str, Any]) -> dict[str, Any]:
    """The head of a profile, whose records may stand in it."""
    data = dict(data)
    if isinstance(data.get("rooflines"), list):
        data["rooflines"] = [_roofline(item) for item in data["rooflines"]]
    if isinstance(data.get("records"), list):
        data["records"] = [record(item) for item in data["records"]]
    return data


def record(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    data = _renamed(data, RECORD)
    if "cell" in data:
        data["cell"] = _cell(data["cell"])
    if isinstance(data.get("runs"), list):
        data["runs"] = [_run(item) for item in data["runs"]]
    return data


def renamed(document: DocumentT) -> DocumentT:
    """With the bundled variants called as they are today."""
    new = {
        name: RENAMED[name]
        for name, variant in document.variants.items()
        if name in RENAMED and variant.plugin is None and RENAMED[name] not in document.variants
    }
    if not new:
        return document

    def label(old: str) -> str:
        """`sliding-window:window=64` for `local:window=64`."""
        name, colon, options = old.partition(":")
        return f"{new.get(name, name)}{colon}{options}"

    named = ((label(name), variant) for name, variant in document.variants.items())
    result = replace(
        document,
        variants={name: replace(variant, name=name) for name, variant in named},
        records=tuple(
            replace(record, cell=replace(record.cell, variant=label(record.cell.variant)))
            for record in document.records
        ),
    )
    if not isinstance(result, Profile):
        return result
    scores = result.scores
    if scores is not None:
        scores = replace(scores, values={label(old): one for old, one in scores.values.items()})
    return replace(result, scores=scores, baseline=result.baseline and label(result.baseline))


def policy(data: dict[str, Any]) -> dict[str, Any]:
    data = dict(data)
    if "shape" in data:
        data["shape"] = _setting(data["shape"])
    if isinstance(data.get("rules"), list):
        data["rules"] = [_renamed(rule, RULE) for rule in data["rules"]]
    return data


def _cell(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    own = {name: value for name, value in data.items() if name not in _AXES}
    setting = {name: value for name, value in data.items() if name in _AXES}
    return own | {"setting": _setting(setting)}


_AXES = {*AXES, "compile"} - {"engine"}


def _setting(data: Any) -> Any:
    if not isinstance(data, dict) or "compile" not in data:
        return data
    data = dict(data)
    compiled = data.pop("compile")
    if isinstance(compiled, bool):
        data["engine"] = "compile" if compiled else "eager"
    else:
        data["engine"] = compiled  # which is refused, as it was
    return data


def _run(data: Any) -> Any:
    data = _renamed(data, RUN)
    if isinstance(data, dict) and isinstance(data.get("gpu"), dict):
        data["gpu"] = _renamed(data["gpu"], GPU)
    return data


def _roofline(data: Any) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get("bandwidths"), list):
        return data
    return data | {"bandwidths": [_renamed(item, BANDWIDTH) for item in data["bandwidths"]]}


def _renamed(data: Any, names: Mapping[str, str]) -> Any:
    """With its keys renamed; anything but a mapping is left for the decoder to refuse."""
    if not isinstance(data, dict):
        return data
    return {names.get(name, name): value for name, value in data.items()}
