"""The keys of a model's config.json: each is read by its type, and remembered as read.

What is left unread in the end is either known not to change the layers, or refused: a reader
cannot overlook a key that speaks of them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Any

from effattn_cli.errors import UsageError
from effattn_cli.models.usual import usual

#: Keys, by how they begin or what they contain, that speak of the layers. One of them that nobody
#: read, and that is not off, is refused.
SPEAKS_OF_LAYERS = re.compile(
    r"layer_?types|layers_block|_pattern|kv_heads|kv_n_heads|key_value_heads|num_kv|n_kv|multi_query|head_dim"
    r"|head_size|kv_channels|d_kv|lora_rank|index_|indexer|sliding|window|chunk_size$|compress"
    r"|linear_(attn|num|key|value|conv)|mamba|ssm|state_size|conv_L|n_groups|expert|moe|shared"
    r"|first_k_dense|hyper|sparse|global_attn|attn_layer|full_attention|attention_type|hybrid"
    r"|is_decoder$|cross_attention$|relative_attention$|low_rank|n_hash|num_mem|nextn|mtp|per_layer"
    r"|sink|gated|residual_attention|(attention|attn|qkv|mlp|out|use)_bias$|k_eq_v|double_wide"
    r"|qk_(layer)?norm|^(use_)?alibi$|loops?$"
    r"|_cycles$|parallel_(attn|residual)|num_ln_|gating"
    r"|(vision|audio|speech|text|encoder|decoder)_config$"
)
#: Of these, what changes no layer: numbers of training, and how a library runs the model.
CHANGES_NOTHING = re.compile(
    r"aux_loss|jitter|capacity|_loss|z_loss|chunk_size_feed_forward|dropout|router_(bias|scaling|dtype"
    r"|act|softmax)|routed_scaling|norm_topk|topk_method|scoring_func|n_group$|topk_group|_coef"
    r"|output_router|use_mamba_kernels|time_step|ssm_cfg|initializer|mamba_dt|ep_size|_token_id"
    r"|expert_choice|window_partition|attention_window_train|expert_selection_fn|fp32_combine"
    r"|moe_norm_min|combination_strategy|router_weight_on_input|router_logit|add_router_probs"
    r"|expert_groups$|moe_(gate|group|use_aux_free|drop_tokens)$"
)
#: Parts that say how a model is quantised, tokenised or run, or where its tokens stand.
OTHER_PARTS = re.compile(
    r"rope|quantization|compression_config|id2label|label2id|auto_map|task_specific|generation"
    r"|_args$"
)
#: By the first of a key's names: the largest number that is taken for true.
MOST: Mapping[str, int] = {"num_hidden_layers": 10_000, "n_layers": 10_000, "num_layers": 10_000}
OFF: tuple[Any, ...] = (None, False, 0, "", "none", [], {})


class Keys:
    """A config, or a part of it. `name` begins every message: the file, and where inside."""

    def __init__(
        self, data: Mapping[str, Any], name: str, absent: Mapping[str, Any] | None = None
    ) -> None:
        """`absent`: what is taken where a key is not there; null is a value like others."""
        self._data, self.name = data, name
        self._absent: Mapping[str, Any] = absent or {}
        self._read: set[str] = set()
        self.taken: dict[str, Any] = {}  # of what is absent
        self._derived: set[str] = set()
        self._parts: list[Keys] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def get(self, *names: str, default: Any = None) -> Any:
        """The value of the first of these keys that is there and not null; all count as read."""
        self._read.update(names)
        there = any(key in self._data for key in names)
        values = self._data if there else self._absent
        for key in names:
            if values.get(key) is not None:
                if not there and key not in self._derived:
                    self.taken[key] = values[key]
                return values[key]
        return default

    def named(self, *names: str) -> str:
        """The one of these keys that is there and not null; the first, where none is."""
        return next((key for key in names if self._data.get(key) is not None), names[0])

    def count(self, *names: str, default: int | None = None, minimum: int = 1) -> int:
        """A whole number.

        Raises:
            UsageError: there is none and no default, or it is something else.
        """
        value = self.get(*names, default=default)
        if value is None:
            others = f" (nor {', '.join(names[1:])})" if names[1:] else ""
            raise UsageError(f"{self.name}: there is no key {names[0]!r}{others}")
        key = self.named(*names)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        maximum = MOST.get(names[0], 2**31)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            shown = str(value)[:60]
            bound = f" of at most {maximum}" if isinstance(value, int) and value > maximum else ""
            why = f"expected a positive whole number{bound}, got {shown}"
            raise UsageError(f"{self.name}: {key}: {why}")
        return value

    def number(self, *names: str) -> float:
        """A number, 0 where there is none."""
        value = self.get(*names, default=0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise UsageError(
                f"{self.name}: {self.named(*names)}: expected a number, got {value!r:.60}"
            )
        return float(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """Yes or no."""
        value = self.get(*names, default=default)
        if not isinstance(value, bool):
            raise UsageError(
                f"{self.name}: {self.named(*names)}: expected true or false, got {value!r:.60}"
            )
        return value

    def word(self, *names: str, default: str = "") -> str:
        value = self.get(*names, default=default)
        if not isinstance(value, str):
            raise UsageError(
                f"{self.name}: {self.named(*names)}: expected a word, got {value!r:.60}"
            )
        return value

    def items(self, *names: str) -> list[Any] | None:
        """A list, or None where there is none."""
        value = self.get(*names)
        if value is not None and not isinstance(value, list):
            raise UsageError(
                f"{self.name}: {self.named(*names)}: expected a list, got {value!r:.60}"
            )
        return value

    def numbers(self, *names: str) -> list[int] | None:
        """A list of whole numbers, or of yes and no; None where there is none."""
        values = self.items(*names)
        if wrong := [value for value in values or () if not isinstance(value, int)]:
            raise self.refuse(names[0], f"expected whole numbers, got {wrong[0]!r:.60}")
        return values

    def words(self, *names: str) -> list[str] | None:
        """A list of words; None where there is none."""
        values = self.items(*names)
        if wrong := [value for value in values or () if not isinstance(value, str)]:
            raise self.refuse(names[0], f"expected words, got {wrong[0]!r:.60}")
        return values

    def part(self, name: str, family: str = "", without: Collection[str] = ()) -> "Keys":
        """The config of a part, as `text_config`; of this family, where it does not say its own.
        `without` names keys that are not looked at.

        Raises:
            UsageError: it is not there.
        """
        value = self.get(name)
        if not isinstance(value, dict):
            raise UsageError(f"{self.name}: there is no part {name!r}")
        looked_at = {key: value[key] for key in value if key not in without}
        part = Keys(looked_at, f"{self.name}: {name}", usual(value.get("model_type", family)))
        self._parts.append(part)
        return part

    def skip(self, *names: str) -> None:
        """These change nothing in this family."""
        self._read.update(names)

    def refuse(self, key: str, why: str) -> UsageError:
        """An error that names a key and its value."""
        return UsageError(f"{self.name}: {key} = {self._data.get(key)!r:.80}: {why}")

    def assume(self, values: Mapping[str, Any], *, derived: bool = False) -> None:
        """What a family takes where its config leaves a key out; a null stands as it is.

        `derived`: it follows from other keys, and is not told as taken.
        """
        self._absent = {**self._absent, **values}
        self._derived.update(values if derived else ())

    @property
    def asked(self) -> frozenset[str]:
        """The keys that were asked for, here and in the parts."""
        return frozenset(self._read).union(*(part.asked for part in self._parts))

    def overlooked(self) -> Iterator[str]:
        """Keys that speak of layers, are not off, and were not read, at any depth."""
        unread = {key: value for key, value in self._data.items() if key not in self._read}
        yield from speaking(unread)
        for part in self._parts:
            yield from part.overlooked()

    def unread(self) -> list[str]:
        """Other keys that were not read: they are taken not to change the layers."""
        mine = [
            key for key, value in self._data.items() if key not in self._read and value not in OFF
        ]
        return sorted(mine + [key for part in self._parts for key in part.unread()])


def speaking(data: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Keys that speak of layers and are not off, also those in parts of a config."""
    for key, value in data.items():
        if value in OFF or CHANGES_NOTHING.search(key):
            continue
        if SPEAKS_OF_LAYERS.search(key):
            yield f"{within}{key} = {value!r:.60}"
        elif isinstance(value, dict) and not OTHER_PARTS.search(key):
            yield from speaking(value, f"{within}{key}.")
