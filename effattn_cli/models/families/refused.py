"""Families that cannot be read, each with the reason."""

from collections.abc import Mapping

#: By `model_type`.
REFUSED: Mapping[str, str] = {
    "doge": "its attention keeps the keys that a learned mask scores highest, which is not in the"
    " catalogue",
    "dots3_note_text": "its window layers have latent attention, which is not in the catalogue",
    "dory": "its middle layers run several times with the same weights, which a list of layers"
    " does not say",
    "ernie4_5_vl_moe_text": "its layers have experts for text and others for images,"
    " which is more than a feed-forward here says",
    "hrm_text": "its two stacks run several times with the same weights, which a list of layers"
    " does not say",
    "inkling2": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "inkling2_loop": "its layers run several times and mix tokens by convolutions and relative"
    " logits, which are not in the catalogue",
    "inkling2_loop_text": "its layers run several times and mix tokens by convolutions and relative"
    " logits, which are not in the catalogue",
    "inkling2_text": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "inkling_mm_model": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "inkling_text": "its attention has relative logits and convolutions, which are not in the"
    " catalogue",
    "jetmoe": "its attention chooses among experts for queries, which is not in the catalogue",
    "unlimited_ocr_text": "its window layers see all of a reference besides, which is not in the"
    " catalogue",
    "rwkv": "its time mixing of version 4 is not in the catalogue, which has that of version 7",
    "zamba": "its attention layers share weights and see the embedding beside the stream, which a"
    " list of layers does not say",
    "zamba2": "its attention layers share weights and see the embedding beside the stream, which a"
    " list of layers does not say",
}
