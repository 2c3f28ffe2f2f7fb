"""Models that are known by name: their sizes, as they were published, and their budgets."""

import pytest

from effattn_cli.models import presets
from effattn_cli.models.budget import Deployment, memory

#: Billions of parameters, as the models' cards or papers state them.
PUBLISHED = {
    "bert-base": 0.110, "bert-large": 0.336, "deepseek-llm-7b": 6.91, "deepseek-v3": 671,
    "falcon-7b": 6.92, "falcon-mamba-7b": 7.27, "gemma-2-2b": 2.61, "gemma-2-9b": 9.24,
    "gpt-oss-120b": 116.8, "gpt-oss-20b": 20.9, "gpt2": 0.124, "gpt2-xl": 1.56,
    "kimi-linear": 49.1, "lfm2-1.2b": 1.17, "llama-2-7b": 6.74, "llama-2-70b": 69.0,
    "llama-3-8b": 8.03, "llama-3-70b": 70.6, "llama-3.2-1b": 1.24, "llama-4": 107.8,
    "mamba2-2.7b": 2.70, "minimax-01": 456, "mistral-7b": 7.24, "mixtral-8x7b": 46.7,
    "nemotron-3-nano": 31.6, "olmo-hybrid": 7.43, "phi-3-mini": 3.82, "qwen2.5-7b": 7.62,
    "qwen3-0.6b": 0.596, "qwen3-8b": 8.19, "qwen3-next": 79.7, "recurrent-gemma-2b": 2.68,
    "t5-base": 0.223, "t5-3b": 2.85, "vit-b16": 0.086, "vit-l16": 0.304,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_known_model_is_as_large_as_published(name: str) -> None:
    billions = presets.model(name).parameters / 1e9
    assert billions == pytest.approx(PUBLISHED[name], rel=0.01)


@pytest.mark.parametrize("name", presets.configs())
def test_every_known_model_has_a_budget(name: str) -> None:
    model = presets.model(name)
    short, long = (memory(model, Deployment(context=tokens)) for tokens in (512, 4096))
    assert 0 < short.total <= long.total
    assert short.total <= short.allocated
    assert model.name == name
