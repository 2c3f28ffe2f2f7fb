"""Longformer: a sliding window and a few global tokens."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.banded import Ring, banded
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Rotary


@final
class Longformer(Rotary, Decodable[Ring]):
    """Each query sees a window around it and the global tokens, which see and are seen by all.

    A local row is one softmax over the keys with |i - j| <= W / 2 and the first M keys, each
    counted once; a global row sees every key (Longformer, Beltagy et al. 2020, arXiv:2004.05150).
    In the layer, the global rows have separate projections of q, k and v. W: window,
    M: global_tokens.
    """

    grouped = True
    card = Card(
        title="Longformer",
        families=("fixed-pattern", "memory"),
        paper="arXiv:2004.05150",
        year=2020,
        time="N w + N m",
        memory="N",
        state="w + m",
        causal="optional",
        kind="approximates softmax",
        swap="lossy",
        swap_if={"causal": (True,)},  # global rows have separate projections
        knobs={"window": "2 N"},
        reach=("window", "global_tokens"),  # except for the global rows
        survey=SurveyRow(complexity="n(k+m)", decode=True, classes="FP+M"),
        lra=53.46,
        notes=(
            "the global tokens are the first ones, as for classification; no dilation",
            "attend, the core, gives global rows the same q, k and v as local rows",
            "causal: a query sees itself, the W / 2 keys before it and the global tokens before it",
            "causal: global rows have no projections of their own; the paper has none there either",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        window: int = 512
        """Keys in the window, half on either side; the authors' and transformers' default."""
        global_tokens: int = 1
        """Tokens at the start that see and are seen by all; 1 is [CLS]."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window < 2 or config.window % 2:
            raise Unsupported(f"window {config.window} is not a positive even number")
        if config.global_tokens < 1:
            raise Unsupported(f"global_tokens {config.global_tokens} is below 1")
        self.reach, self.first = config.window // 2, config.global_tokens
        self.horizon = self.reach + self.first

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made = super().make_projections(dim)
        if self.causal:
            return made
        return made | {f"global_{name}": _twin(made[name]) for name in self.projected}

    def attend(
        self,
        q_BHTK: Tensor,
        k_BGTK: Tensor,
        v_BGTK: Tensor,
        valid_BT: Tensor | None = None,
        rows: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Tensor:
        """`rows`: q of the global rows and the k and v that they see, if projected separately."""
        q_BHMK = q_BHTK[:, :, : self.first]
        band = (q_BHTK, k_BGTK, v_BGTK)
        if self.causal:  # right padding: no real query sees it
            k_BGMK, v_BGMK = k_BGTK[:, :, : self.first], v_BGTK[:, :, : self.first]
            first_BHMK = exact(q_BHMK, k_BGMK, v_BGMK, causal=True)
            y_BHTK = banded(*band, before=self.reach, after=0, always=self.first)
        else:
            first_BHMK = exact(*(rows or (q_BHMK, k_BGTK, v_BGTK)), valid_BT)
            y_BHTK = banded(*band, valid_BT, before=self.reach, after=self.reach, always=self.first)
        return torch.cat([first_BHMK, y_BHTK[:, :, self.first :]], dim=2)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """Global rows see keys and values from their own projections; local rows never do."""
        if self.causal:
            return super().forward(x_BTD, valid_BT)
        rows = (
            self.at(self.split("q", self.projections["global_q"](x_BTD[:, : self.first]))),
            self.at(self.split("k", self.projections["global_k"](x_BTD))),
            self.split("v", self.projections["global_v"](x_BTD)),
        )
        q_BHTK, k_BGTK, v_BGTK = self.project(x_BTD)
        return self.output(self.attend(q_BHTK, k_BGTK, v_BGTK, valid_BT, rows))

    def init_state(self, batch: int, context: int) -> Ring:
        return Ring.init(self, batch, context, last=self.reach + 1, always=self.first)

    def step(self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        state = state.append(k_BGK, v_BGK)
        return state.attend(q_BHK), state


def _twin(linear: nn.Module) -> nn.Linear:
    """A projection initialised with another's weights, as in the paper."""
    wide, dim = linear.get_parameter("weight").shape
    twin = nn.Linear(dim, wide, bias=False)
    twin.load_state_dict(linear.state_dict())
    return twin
