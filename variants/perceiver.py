"""Perceiver: a few latents read the sequence and do the processing."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.banded import Ring
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.latents import LatentLayer, feed_forward, last_places


@dataclass(frozen=True)
class Latents:
    """Decoding state: keys and values of every input, and per layer those of the last M latents."""

    k_BHRK: Tensor
    v_BHRK: Tensor
    k_LBHMK: Tensor
    v_LBHMK: Tensor
    length: int


@final
class Perceiver(Decodable[Latents]):
    """M latents attend to the sequence, then to each other in L layers; tokens attend to them.

    z = z + attention(z, k, v), then L Transformer layers on z, then each token's query attends to
    z: Perceiver IO (Jaegle et al. 2021, arXiv:2107.14795) with the tokens as output queries. In the
    causal form, the last M tokens are the latents and the output, each attending to the tokens up
    to itself: Perceiver AR (Hawthorne et al. 2022, arXiv:2202.07765).
    """

    card = Card(
        title="Perceiver",
        families=("memory", "downsampling"),
        paper="arXiv:2107.14795",
        year=2021,
        time="N k",
        memory="N k",
        state="N + k",
        causal="optional",
        kind="own mechanism",
        shortens="causal",
        survey=SurveyRow(complexity="kN", decode=True, classes="M+DS"),
        notes=(
            "out of M latents T outputs are made by the queries of all tokens, as Perceiver IO can:"
            " so the layer fits where attention stood; in Perceiver the latents are the output",
            "the latents have layers of their own, with MLPs as wide as they are: the feed-forward"
            " and the residual of the block act on the tokens only",
            "causal: T' = min(T, M), the last M tokens, and they start from what they read: the"
            " residual around that, their own x, is left to the block",
            "the survey says that it decodes: Perceiver IO doesn't, Perceiver AR does",
            "decoding past M tokens, a latent stays as it was made, seeing M latents back; the"
            " paper makes all of them anew from fewer. With one layer that is the same",
        ),
        exempt={
            "growth": "up to 16k tokens much of the work is the latents' own, which never grows",
            "decoding": "past M tokens and with two layers or more, a latent stays as it was made",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        latents: int = 512
        """Latents (M): as many as the Perceiver for ImageNet has."""
        layers: int = 6
        """Layers on the latents (L): as many as there follow each reading in that Perceiver."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.latents < 1:
            raise Unsupported(f"latents {config.latents} is below 1")
        if config.layers < 0:
            raise Unsupported(f"layers {config.layers} is below 0")
        self.latents, self.horizon = config.latents, config.latents
        width = self.heads * self.head_dim
        if not self.causal:
            self.latents_MD = nn.Parameter(torch.randn(config.latents, width) * 0.02)
            self.query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=False))
            self.norm = nn.LayerNorm(width)
            self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.read = nn.Linear(width, width)
        self.feed = feed_forward(width)
        self.layers = nn.ModuleList(LatentLayer(width, self.head_dim) for _ in range(config.layers))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.causal:
            position_BM = last_places(self.latents, q_BHTK[:, 0], valid_BT)
            q_BHMK = q_BHTK.take_along_dim(position_BM[:, None, :, None], dim=2)
            return self._read(q_BHMK, k_BHTK, v_BHTK, position_BM)
        q_BHMK = self.split("q", self.query(self.latents_MD.unsqueeze(0)))
        y_BHMK = exact(q_BHMK.expand(len(q_BHTK), -1, -1, -1), k_BHTK, v_BHTK, valid_BT)
        z_BMD = self.norm(self._work(self.latents_MD + self.read(merge_heads(y_BHMK))))
        return exact(q_BHTK, self.split("q", self.key(z_BMD)), self.split("q", self.value(z_BMD)))

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """Causal: only the last tokens are latents, so only they are projected to queries."""
        if not self.causal:
            return super().forward(x_BTD, valid_BT)
        position_BM = last_places(self.latents, x_BTD, valid_BT)
        x_BMD = x_BTD.take_along_dim(position_BM[..., None], dim=1)
        inputs = self.project_each({"q": x_BMD, "k": x_BTD, "v": x_BTD})
        q_BHMK, k_BHTK, v_BHTK = self.repeated(inputs)
        return self.output(self._read(q_BHMK, k_BHTK, v_BHTK, position_BM))

    def _read(self, q_BHMK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, position_BM: Tensor) -> Tensor:
        """The latents, from what each of the last tokens attends to up to itself."""
        at_T = torch.arange(k_BHTK.shape[2], device=k_BHTK.device)
        seen_BxMT = (at_T <= position_BM.unsqueeze(2)).unsqueeze(1)
        y_BHMK = scaled_dot_product_attention(q_BHMK, k_BHTK, v_BHTK, attn_mask=seen_BxMT)
        return self.split("q", self._work(self.read(merge_heads(y_BHMK))))

    def _work(self, z_BMD: Tensor) -> Tensor:
        z_BMD = z_BMD + self.feed(z_BMD)
        for layer in self.layers:
            z_BMD = layer(z_BMD, causal=self.causal)
        return z_BMD

    def output_mask(self, valid_BT: Tensor) -> Tensor:
        """Causal: the last real tokens come first, and padding is on the right again."""
        return valid_BT[:, : self.latents] if self.causal else valid_BT

    def init_state(self, batch: int, context: int) -> Latents:
        inputs = (batch, self.heads, max(self.config.tokens, context + 1), self.head_dim)
        latents = (len(self.layers), batch, self.heads, self.latents, self.head_dim)
        k_BHRK, v_BHRK, k_LBHMK, v_LBHMK = (
            self.blank(*shape, random=True) for shape in (inputs, inputs, latents, latents)
        )
        return Latents(k_BHRK, v_BHRK, k_LBHMK, v_LBHMK, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Latents
    ) -> tuple[Tensor, Latents]:
        inputs = Cache(state.k_BHRK, state.v_BHRK, state.length).append(k_BHK, v_BHK)
        z_BD = self.read(inputs.attend(q_BHK).flatten(1))
        z_BD = z_BD + self.feed(z_BD)
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, LatentLayer)
            q_BHK, k_BHK, v_BHK = (x.squeeze(2) for x in layer.project(z_BD.unsqueeze(1)))
            ring = Ring(state.k_LBHMK[i], state.v_LBHMK[i], state.length, always=0)
            y_BHK = ring.append(k_BHK, v_BHK).attend(q_BHK)
            z_BD = layer.finish(z_BD, y_BHK.flatten(1))
        return z_BD.view_as(q_BHK), replace(state, length=state.length + 1)
