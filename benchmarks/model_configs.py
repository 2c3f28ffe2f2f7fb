"""Which of the model families of transformers are read, held to its own modules.

    python benchmarks/model_configs.py              # a table of all, and docs/model-families.md
    python benchmarks/model_configs.py llama gpt2   # some, and why they are refused or differ
    python benchmarks/model_configs.py --usual      # what classes take where a key is left out

For each class of configs that has a model: its usual config is written as JSON and read, and the
parameters counted are held to those of the model that transformers builds of it, on no device.
Needs the package transformers.
"""

import contextlib
import dataclasses
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import configuration_auto, modeling_auto

from effattn_cli.errors import UsageError
from effattn_cli.models import FAMILIES, understood
from effattn_cli.models.keys import Keys
from effattn_cli.models.usual import TABLE

#: From the most specific kind of model to the least.
KINDS = (
    "CAUSAL_LM",
    "SEQ_TO_SEQ_CAUSAL_LM",
    "IMAGE_TEXT_TO_TEXT",
    "SPEECH_SEQ_2_SEQ",
    "MASKED_LM",
    "CTC",
    "IMAGE_CLASSIFICATION",
    "PRETRAINING",
)
DOCUMENT = Path(__file__).parent.parent / "docs" / "model-families.md"


def model_class(family: str) -> Any:
    """The class that people load of the family, or None."""
    for kind in KINDS:
        names = getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES")
        if family in names:
            name = names[family]
            name = name if isinstance(name, str) else name[0]
            return getattr(transformers, name, None)
    name = modeling_auto.MODEL_MAPPING_NAMES.get(family)
    return getattr(transformers, name if isinstance(name, str) else name[0], None) if name else None


def parameters(config: Any, kind: Any) -> int:
    """Of the model that transformers builds, those that are tied once."""
    with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        model = kind(config)
    model.tie_weights()
    return sum(weight.numel() for weight in model.parameters())


def verdict(family: str) -> tuple[str, str]:
    """Whether the family is read right, and what there is to say of it."""
    try:
        config = getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[family])()
        data = json.loads(config.to_json_string(use_diff=False))
        kind = model_class(family)
    except Exception as error:  # noqa: BLE001
        return "no config", f"transformers makes no usual config: {type(error).__name__}"
    if kind is None:
        return "no model", "no language, vision or speech model of its own"
    try:
        model = understood(data, family)
    except UsageError as error:
        return "refused", str(error).removeprefix(f"{family}: ")
    try:
        expected = parameters(config, kind)
    except Exception as error:  # noqa: BLE001
        return "unchecked", f"transformers does not build it: {type(error).__name__}: {error}"[:120]
    if model.parameters != expected:
        return "WRONG", f"{model.parameters:,} parameters for {expected:,} of {kind.__name__}"
    return "read", f"{expected:,} parameters, as {kind.__name__}"


def write_usual() -> None:
    """The table of what is taken where a key is left out, of all keys that any reader asks for."""
    classes = dict(config_classes())
    asked: set[str] = set()
    for family, kind in classes.items():
        with contextlib.suppress(Exception):
            data = json.loads(kind().to_json_string(use_diff=False))
            keys = Keys(data, family)
            FAMILIES[family](keys)
            asked |= keys.asked
    lines = [f"{json.dumps(name)}: {json.dumps(usual_of(kind, asked))}"
             for name, kind in sorted(classes.items())]  # fmt: skip
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def config_classes() -> Iterator[tuple[str, Any]]:
    """The class of the configs of each family that is read."""
    for name in configuration_auto.CONFIG_MAPPING_NAMES.values():
        kind = getattr(transformers, name, None)
        family = str(getattr(kind, "model_type", ""))
        if family in FAMILIES:
            yield family, kind


def usual_of(kind: Any, asked: set[str]) -> dict[str, Any]:
    """Of a class of configs: the keys that are asked for and have a value where they are absent."""
    plain = (int, float, str, list, tuple)
    fields = {item.name: item.default for item in dataclasses.fields(kind) if item.name in asked}
    return {name: value for name, value in fields.items() if isinstance(value, plain)}


def main(families: list[str]) -> None:
    if families == ["--usual"]:
        write_usual()
        return
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    rows = {
        family: verdict(family) for family in families or configuration_auto.CONFIG_MAPPING_NAMES
    }
    width = max(map(len, rows))
    for family, (word, why) in rows.items():
        print(f"{family:{width}}  {word:9}  {why}")
    words = [word for word, _ in rows.values()]
    print({word: words.count(word) for word in dict.fromkeys(words)})
    if not families:
        DOCUMENT.write_text(document(rows))


def document(rows: dict[str, tuple[str, str]]) -> str:
    """The committed table."""
    lines = [
        "# Model families",
        "",
        "Which configs `effattn model` reads: `python benchmarks/model_configs.py` reads the usual",
        f"config of each family of transformers {transformers.__version__} and holds its",
        "parameters to those of the model that transformers builds of it.",
        "",
        "| family | | |",
        "|---|---|---|",
    ]
    lines += [f"| `{family}` | {word} | {why} |" for family, (word, why) in sorted(rows.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
