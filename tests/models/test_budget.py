"""The memory of a model: every line against a count by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.architecture import Model
from effattn_cli.models import presets
from effattn_cli.models.budget import Deployment, longest, memory, page_bytes
from effattn_cli.models.replacing import Change, changed

GIB = 2**30


@pytest.fixture(scope="module")
def llama() -> Model:
    return presets.model("llama-3-8b")


def test_llama_3_8b_at_32k_does_not_fit_16_gib(llama: Model) -> None:
    # Each of 32 layers: q and o 4096 x 4096, k and v 4096 x 1024, three of 4096 x 14336, two norms.
    layer = 2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096
    assert llama.parameters == 32 * layer + 2 * 128256 * 4096 + 4096 == 8_030_261_248
    found = memory(llama, Deployment(context=32 * 1024))
    assert found.lines["weights"] == 2 * 8_030_261_248
    # 8 kv heads of 128, keys and values, two bytes: 4 KiB a token and layer.
    assert found.lines["kv cache"] == 32 * 1024 * 32 * 4096 == 4 * GIB
    # A piece of 2048 tokens: stream twice, gate and up of 14336; logits of one token.
    assert found.lines["workspace"] == 2048 * (2 * 4096 + 2 * 14336) * 2 + 128256 * 4
    assert found.total == sum(found.lines.values()) > 16 * GIB
    assert longest(llama, Deployment(context=1), 16 * GIB) == 7384


def test_training_takes_gradients_and_two_moments_and_no_cache(llama: Model) -> None:
    lines = memory(llama, Deployment(context=1024, training=True)).lines
    assert set(lines) == {"weights", "workspace", "gradients", "optimiser"}
    assert lines["gradients"] == lines["weights"]
    assert lines["optimiser"] == llama.parameters * (4 + 4 + 4)  # and a float32 copy of the weights


@pytest.mark.parametrize(
    ("form", "bits"), [("int8", 8.125), ("int4", 4.15625), ("fp8", 8.001953125)]
)
def test_quantised_are_the_layers_and_their_scales_count(
    llama: Model, form: str, bits: float
) -> None:
    found = memory(llama, Deployment(context=1, weights=form)).lines["weights"]  # type: ignore[arg-type]
    halves = 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    assert found == pytest.approx(halves * bits / 8 + 2 * (llama.parameters - halves), abs=1)


@pytest.mark.parametrize(("form", "bits"), [("fp8", 8), ("int8", 8.125), ("float32", 32)])
def test_keys_and_values_may_have_another_form(llama: Model, form: str, bits: float) -> None:
    run = Deployment(context=1024, cache=form)  # type: ignore[arg-type]
    found = memory(llama, run)
    # 32 layers, keys and values of 8 heads of 128.
    assert found.lines["kv cache"] == 1024 * 32 * 2 * 8 * 128 * bits / 8
    assert found.lines["weights"] == 2 * llama.parameters
    assert found.paged == found.kept  # 1024 tokens are whole pages


def test_states_keep_their_form_beside_a_quantised_cache() -> None:
    hybrid = presets.model("qwen3-next")
    plain, smaller = (memory(hybrid, Deployment(context=64, cache=of)) for of in (None, "fp8"))
    assert 2 * smaller.lines["kv cache"] == plain.lines["kv cache"]
    for line in ("recurrent state", "convolution state"):
        assert smaller.lines[line] == plain.lines[line] > 0


def test_pages_of_one_size_are_those_of_the_largest_layer(llama: Model) -> None:
    hybrid = changed(llama, Change(kind="full_attention", variant="gated-deltanet", options={}))
    state = 32 * 128 * 128 * 4 + 3 * 3 * 32 * 128 * 2
    assert page_bytes(llama, "bfloat16") == 16 * 4096  # sixteen tokens
    assert page_bytes(hybrid, "bfloat16") == state
    found = memory(hybrid, Deployment(context=10_000))
    assert found.paged == 32 * state == found.kept


def test_a_cache_in_pages_takes_whole_ones(llama: Model) -> None:
    found = memory(llama, Deployment(context=17, batch=3))
    assert found.paged == 3 * 32 * 2 * 16 * 4096
    assert found.allocated - found.total == found.paged - 3 * 32 * 17 * 4096


@given(limit=st.integers(0, 200 * GIB), batch=st.integers(1, 64), paged=st.booleans())
def test_the_longest_context_fits_and_the_next_does_not(
    limit: int, batch: int, paged: bool
) -> None:
    model = presets.model("llama-3.2-1b")
    found = longest(model, Deployment(context=1, batch=batch), limit, paged=paged)

    def needs(context: int) -> int:
        made = memory(model, Deployment(context=context, batch=batch))
        return made.allocated if paged else made.total

    assert found == 0 or needs(found) <= limit
    assert found == 2**31 or needs(found + 1) > limit
