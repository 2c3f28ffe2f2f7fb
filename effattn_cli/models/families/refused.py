"""Families that cannot be read, each with the reason."""

from collections.abc import Mapping

#: By `model_type`.
REFUSED: Mapping[str, str] = {
    "doge": "its attention keeps the keys that a learned mask scores highest, which is not in the"
    " catalogue",
    "dory": "its middle layers run several times with the same weights, which a list of layers"
    " does not say",
    "hrm_text": "its two stacks run several times with the same weights, which a list of layers"
    " does not say",
    "inkling2_loop_text": "its layers run several times and mix tokens by convolutions and relative"
    " logits, which are not in the catalogue",
    "inkling2_text": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "inkling_text": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "jetmoe": "its attention chooses among experts for queries, which is not in the catalogue",
}
