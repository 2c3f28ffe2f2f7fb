"""Estimates of whole models against the models themselves.

    python benchmarks/models.py                    # all models, some minutes each
    python benchmarks/models.py llama-3.2-1b gpt2  # some

For each model, at fewer layers: effattn's estimate from a profile of its parts, and beside it the
measured time of a module that consists of effattn's own layers, embedding and head, each with
weights and state of its own; then of transformers' model of the same config, with random weights.
The rounds of the three take turns. Needs the package transformers.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from torch import nn

from effattn_cli import catalog, store
from effattn_cli.analysis.model_time import Pass, passes
from effattn_cli.architecture import Model
from effattn_cli.attention import Layer
from effattn_cli.host import heap
from effattn_cli.measure.workload import build
from effattn_cli.models import presets
from effattn_cli.models.cells import base, parts
from effattn_cli.models.reading import understood
from effattn_cli.setting import Setting

THREADS = 2
CONTEXTS = (512, 4096)
ROUNDS, SECONDS = 3, 0.7  # of each side, and seconds of a round's calls
FEW, LONG = 3, 2.0  # calls of a round at least, unless one takes so many seconds
#: Known models at so many layers, and small ones of other families.
LAYERS = {
    "gpt2": 12, "bert-base": 12, "llama-3.2-1b": 4, "qwen3-0.6b": 6, "gemma-2-2b": 4,
}  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "small-qwen3-next": {
        "model_type": "qwen3_next", "hidden_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192,
        "linear_num_value_heads": 8, "linear_num_key_heads": 4, "linear_key_head_dim": 64,
        "linear_value_head_dim": 64, "num_experts": 16, "num_experts_per_tok": 4,
        "moe_intermediate_size": 256, "shared_expert_intermediate_size": 256,
        "intermediate_size": 1024, "max_position_embeddings": 8192,
    },
    "small-mamba2": {
        "model_type": "mamba2", "hidden_size": 512, "num_hidden_layers": 8, "num_heads": 16,
        "head_dim": 64, "state_size": 64, "n_groups": 1, "expand": 2, "vocab_size": 8192,
    },
    "small-mixtral": {
        "model_type": "mixtral", "hidden_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 1024,
        "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 8192,
        "max_position_embeddings": 8192, "sliding_window": None,
    },
}  # fmt: skip
COUNTS = ("num_hidden_layers", "n_layer")


def config_of(name: str) -> dict[str, Any]:
    """The config of a model, with fewer layers."""
    if name in SMALL:
        return SMALL[name]
    config = dict(presets.configs()[name])
    key = next(key for key in COUNTS if key in config)
    config[key] = min(LAYERS[name], config[key])
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][: config[key]]
    return config


class Whole(nn.Module):
    """A model of effattn's layers: as `parts` has them, but each with weights of its own."""

    def __init__(self, model: Model, context: int, setting: Setting) -> None:
        super().__init__()
        cells = {
            part.layer: part.cell for part in parts(model, context, setting) if part.role != "mixer"
        }
        ends = {p.role: p.cell for p in parts(model, context, setting) if p.layer is None}
        self.subjects = [
            build(catalog.load(cell.variant, kind=Layer), cell)
            for cell in (cells[layer] for layer in model.layers)
        ]
        self.ends = {
            role: build(catalog.load(cell.variant, kind=Layer), cell) for role, cell in ends.items()
        }

    @torch.no_grad()
    def forward(self) -> None:
        """A pass: a prompt, or a token after the context."""
        x = self.ends["embedding"].call()
        for subject in self.subjects:
            if subject.decoding is not None:
                x, _ = subject.decoding._run(x, subject.decoding.first)
            else:
                x = subject.module(x)
        if "head" in self.ends:
            head = self.ends["head"]
            head.module(x if x.shape == head.inputs[0].shape else x[:, -1:])


def theirs(config: dict[str, Any], context: int, phase: str) -> Callable[[], Any]:
    """A pass of transformers' model."""
    made = transformers.AutoConfig.for_model(**config)
    encoder = config["model_type"] == "bert"
    kind = transformers.AutoModelForMaskedLM if encoder else transformers.AutoModelForCausalLM
    model = kind.from_config(made, dtype=torch.float32).eval()
    ids = torch.randint(config["vocab_size"], (1, context))
    if phase == "forward":
        more = {} if encoder else {"logits_to_keep": 1, "use_cache": False}
        return lambda: model(ids, **more)
    with torch.no_grad():
        cache = model(ids[:, :-1], use_cache=True, logits_to_keep=1)
    name = "past_key_values" if "past_key_values" in cache else "cache_params"
    kept = {name: cache[name], "use_cache": True}
    return lambda: model(ids[:, -1:], **kept)


@torch.no_grad()
def seconds(call: Callable[[], Any]) -> float:
    """The median of a round's calls."""
    samples: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS or (len(samples) < FEW and samples[-1] < LONG):
        begun = time.perf_counter()
        call()
        samples.append(time.perf_counter() - begun)
    return median(samples)


def estimates(name: str, config: dict[str, Any], contexts: Sequence[int]) -> list[Pass]:
    """What a profile of the model's parts says."""
    phases = "forward" if config["model_type"] == "bert" else "forward,decode"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps(config))
        out = Path(folder) / "profile.yaml"
        words = [
            "profile", "--model", str(path), "-s", ",".join(map(str, contexts)), "--phase", phases,
            "--dtype", "float32", "--threads", str(THREADS), "-q", "-o", str(out),
        ]  # fmt: skip
        command = [sys.executable, "-m", "effattn_cli", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return passes(store.read(out))


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    torch.set_num_threads(THREADS)
    heap.retain_heap()
    errors: list[float] = []
    titles = ("estimate", "whole", "off")
    print(f"{'model':18} {'phase':8} {'tokens':>6} {'{:>10} {:>10} {:>7}'.format(*titles)}  theirs")
    for name in names or [*LAYERS, *SMALL]:
        config = config_of(name)
        limit = understood(config, name).context or 2**31
        maximum = limit * 3 // 4  # a step of theirs adds a token
        for estimate in estimates(name, config, sorted({min(each, maximum) for each in CONTEXTS})):
            assert estimate.total is not None
            setting = base(estimate.setting)
            whole = Whole(understood(config, name), estimate.seq, setting)
            sides: dict[str, Callable[[], Any]] = {"ours": whole}
            with torch.no_grad():
                sides["theirs"] = theirs(config, estimate.seq, setting.phase)
                for call in sides.values():
                    call()
            rounds = [{side: seconds(call) for side, call in sides.items()} for _ in range(ROUNDS)]
            ours, other = (median(each[side] for each in rounds) for side in ("ours", "theirs"))
            errors.append(estimate.total.value / ours - 1)
            print(
                f"{name:18} {setting.phase:8} {estimate.seq:6} {1e3 * estimate.total.value:7.1f} ms"
                f" {1e3 * ours:7.1f} ms {100 * errors[-1]:+6.1f} %  {1e3 * other:7.1f} ms"
                f" ({other / ours:.2f}x)",
                flush=True,
            )
    sizes = [abs(error) for error in errors]
    print(f"off by {100 * median(sizes):.1f} % in the median, {100 * max(sizes):.1f} % at worst")


if __name__ == "__main__":
    main(sys.argv[1:])
