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
from effattn_cli.models.families import FAMILIES
from effattn_cli.models.keys import Keys
from effattn_cli.models.nested import ONLY
from effattn_cli.models.reading import understood
from effattn_cli.models.towers import TOWERS
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
#: Families of which transformers builds something else than was released.
DIFFERS = {"longcat_flash": "transformers allots gates to experts that have no weights"}
DOCUMENT = Path(__file__).parent.parent / "docs" / "model-families.md"


#: What a usual config lacks, without which transformers builds no model.
GIVEN: dict[str, dict[str, Any]] = {
    "esm": {"vocab_size": 33},
    "reformer": {"is_decoder": True},
    "wav2vec2-bert": {"vocab_size": 32},
    "wav2vec2-conformer": {"vocab_size": 32},
    "aya_vision": {
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_attention_heads": 16,
        }
    },
}


def model_class(family: str, config: Any) -> Any:
    """The class that people load of the family, or None: of what has two stacks, or sees, too,
    the whole.
    """
    pair, seeing = getattr(config, "is_encoder_decoder", False), hasattr(config, "text_config")
    first = "SEQ" if pair else "IMAGE_TEXT" if seeing else ""
    for kind in sorted(KINDS, key=lambda kind: first not in kind):
        names = getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES")
        if family in names:
            name = names[family]
            name = name if isinstance(name, str) else name[0]
            return getattr(transformers, name, None)
    name = modeling_auto.MODEL_MAPPING_NAMES.get(family)
    return getattr(transformers, name if isinstance(name, str) else name[0], None) if name else None


def parameters(config: Any, kind: Any, *, language: bool) -> int:
    """Of the model that transformers builds, those that are tied once; with `language` only of
    its language model and of the head.
    """
    with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        model = kind(config)
    model.tie_weights()
    parts = [model]
    if language:
        parts = [language_of(model), model.get_output_embeddings()]
    weights = {id(w): w.numel() for part in parts if part is not None for w in part.parameters()}
    return sum(weights.values())


def language_of(model: Any) -> Any:
    """The part that is a language model."""
    for name in ("language_model", "text_model"):
        for holder in (model, getattr(model, "model", None)):
            if hasattr(holder, name):
                return getattr(holder, name)
    return model.get_decoder()


def verdict(family: str) -> tuple[str, str]:
    """Whether the family is read right, and what there is to say of it."""
    try:
        kind = getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[family])
        config = kind(**GIVEN.get(family, {}))
        data = json.loads(config.to_json_string(use_diff=False))
        kind = model_class(family, config)
    except Exception as error:  # noqa: BLE001
        return "no config", f"transformers makes no usual config: {type(error).__name__}"
    if kind is None:
        return "no model", "no language, vision or speech model of its own"
    try:
        model = understood(data, family)
    except UsageError as error:
        return "refused", str(error).removeprefix(f"{family}: ")
    try:
        only = any(ONLY in note for note in model.notes)
        expected = parameters(config, kind, language=only)
    except Exception as error:  # noqa: BLE001
        return "unchecked", f"transformers does not build it: {type(error).__name__}: {error}"[:120]
    if model.parameters != expected:
        word, why = "WRONG", f" of {kind.__name__}"
        if family in DIFFERS:
            word, why = "differs", f": {DIFFERS[family]}"
        return word, f"{model.parameters:,} parameters for {expected:,}{why}"
    of = "the language model of " if only else ""
    return "read", f"{expected:,} parameters, as {of}{kind.__name__}"


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
        if family in FAMILIES or family in TOWERS:
            yield family, kind


def usual_of(kind: Any, asked: set[str]) -> dict[str, Any]:
    """Of a class of configs: the keys that are asked for and have a value where they are absent."""
    plain = (int, float, str, list, tuple)
    fields = {item.name: item.default for item in dataclasses.fields(kind) if item.name in asked}
    usual: dict[str, Any] = {
        name: value for name, value in fields.items() if isinstance(value, plain)
    }
    if "rope_parameters" in fields:  # it is filled in when a config is made
        usual["rope_parameters"] = {}
        with contextlib.suppress(Exception):
            fraction = kind().rope_parameters.get("partial_rotary_factor")
            usual["rope_parameters"] = {"partial_rotary_factor": fraction} if fraction else {}
    return usual


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
