"""The interface of a variant: what a file in `variants/` or a plugin has to provide.

Shape letters: B batch, T tokens, D model width, H heads, G key-value heads, K head width.
A mask `valid_BT` is True where a token is real; padding is on the right, so real tokens come first.
"""

from effattn_cli.attention.decodable import Decodable
from effattn_cli.attention.function import variant
from effattn_cli.attention.inputs import Input, decay, gate, normal, step_size
from effattn_cli.attention.layer import FeedForward, Layer, ModelPart
from effattn_cli.attention.mixer import Attention, merge_heads, repeat_kv
from effattn_cli.attention.plain import PlainModule
from effattn_cli.cards import Card, SurveyRow
from effattn_cli.errors import Unsupported
from effattn_cli.records import Usage

__all__ = [
    "Attention",
    "Card",
    "Decodable",
    "FeedForward",
    "Input",
    "Layer",
    "ModelPart",
    "PlainModule",
    "SurveyRow",
    "Unsupported",
    "Usage",
    "decay",
    "gate",
    "merge_heads",
    "normal",
    "repeat_kv",
    "step_size",
    "variant",
]
