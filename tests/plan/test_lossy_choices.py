"""What is compared with exact attention where no variant is named."""

from effattn_cli.catalog import Catalog
from effattn_cli.plan.lossy_choices import keepers


def test_each_variant_that_keeps_the_weights_is_there_with_values_of_its_knob() -> None:
    every, found = Catalog(), keepers(Catalog())
    keeps = {name for name in every.names() if every.variant(name).card.swap != "trained"}
    assert {choice.name for choice in found} == keeps
    labels = [choice.label for choice in found]
    assert len(set(labels)) == len(labels)
    for name in ("sdpa", "softmax"):
        assert labels.count(name) == 1
    windows = {"sliding-window:window=64", "sliding-window", "sliding-window:window=1024"}
    assert windows <= set(labels)
    assert "nystromformer:kernel=0" in labels
    assert "nystromformer" not in labels


def test_a_knob_that_is_usually_nothing_gets_sizes() -> None:
    labels = [choice.label for choice in keepers(Catalog()) if choice.name == "clustered"]
    assert labels[0] == "clustered"
    assert "clustered:topk=32" in labels


def test_with_all_choices_the_swap_is_what_the_card_says() -> None:
    every = Catalog()
    for choice in keepers(every):
        variant = every.variant(choice.name)
        causal = True in variant.card.swap_if.get("causal", (False,))
        said = variant.swap(choice.options, causal=causal, kv_heads=True)
        assert said == variant.card.swap, choice.label
