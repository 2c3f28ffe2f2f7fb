"""Mega: gated single-head attention over a moving average, within chunks."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, final

from torch import Tensor, nn
from torch.nn.functional import silu

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.parts.moving_average import MovingAverage
from effattn_cli.parts.precision import wide
from effattn_cli.parts.single_head import SharedHead


@dataclass(frozen=True)
class Chunk:
    """Decoding state: the moving averages, and keys and values of the current chunk so far."""

    m_BDS: Tensor
    k_BCE: Tensor
    v_BCV: Tensor
    length: int  # of all tokens


@final
class Mega(Decodable[Chunk]):
    """Single-head attention within chunks, with queries and keys from a moving average.

    a = silu(EMA(x) + omega x), where EMA has S damped averages per channel; q and k are z scaled
    and shifted, z = silu(W_z a + b_z), and o = softmax(q k^T / sqrt E + bias) v over the C tokens
    of a chunk, v = silu(W_v x + b_v). With r = silu(W_r a + b_r), u = sigmoid(W_u a + b_u) and
    h = silu(W_h a + W_o (r o) + b_h), the layer outputs u (h - x): with the residual, that is u h +
    (1 - u) x (Mega, Ma et al. 2022, arXiv:2209.10655). S: average, C: chunk, E: width.
    """

    inputs: ClassVar = {
        "x": Input(heads=None, width="dim"),
        "v": Input(heads=None, width="value_width"),
    }
    card = Card(
        title="Mega",
        families=("recurrence", "fixed-pattern"),
        paper="arXiv:2209.10655",
        year=2022,
        time="N w",
        memory="N",
        state="w",
        causal="optional",
        kind="own mechanism",
        aliases=("mega-chunk",),
        notes=(
            "Mega-chunk; with a chunk of the whole length it is the paper's Mega, in time N^2",
            "the core goes from x and v to o; the gates, which read the average too, and the"
            " projections around it belong to the layer",
            "omega, the silu after the average and its factor 1 / sqrt S are those of the authors'"
            " code; the bias is their simple one, a number for each distance",
            "u (h - x) takes the layer's input for x; in the authors' code, which norms before the"
            " layer, it is the residual, from before the norm",
            "there is one head, so that heads and their width change nothing; v has 2 D channels,"
            " and E is 128, as in the paper's translation",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        chunk: int = 128
        """Tokens that see each other; with the length or more, all do."""
        width: int = 128
        """The width of queries and keys (z in the paper)."""
        average: int = 16
        """Damped averages of each channel (h in the paper)."""
        weights: Literal["softmax", "laplace"] = "softmax"
        """What makes weights of scores: softmax, or the paper's Laplace function of each."""

    def __init__(self, config: Config) -> None:
        for name in ("chunk", "width", "average"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.weights not in {"softmax", "laplace"}:
            raise Unsupported(f"weights {config.weights!r} is neither softmax nor laplace")
        self.dim, self.value_width = config.dim, 2 * config.dim
        super().__init__(config)
        self.chunk = self.period = self.horizon = min(config.chunk, config.tokens)
        causal = config.causal
        self.average = MovingAverage(config.dim, config.average, causal=causal)
        self.head = SharedHead(
            config.dim, config.width, chunk=self.chunk, weights=config.weights, causal=causal
        )

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        return {
            "v": nn.Linear(dim, self.value_width),
            "gates": nn.Linear(dim, self.value_width + 2 * dim),
            "out": nn.Linear(self.value_width, dim, bias=False),
        }

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return x_BTD, silu(self.projections["v"](x_BTD))

    def attend(self, x_BTD: Tensor, v_BTV: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return self.head(self.average(x_BTD, valid_BT), v_BTV, valid_BT).unsqueeze(1)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        x_BTD, v_BTV = self.project(x_BTD)
        a_BTD = self.average(x_BTD, valid_BT)
        return self._gated(x_BTD, a_BTD, self.head(a_BTD, v_BTV, valid_BT))

    def _gated(self, x: Tensor, a: Tensor, o: Tensor) -> Tensor:
        reset, update, own = self.projections["gates"](a).split(
            [self.value_width, self.dim, self.dim], dim=-1
        )
        h = silu(own + self.projections["out"](silu(reset) * o))
        return update.sigmoid() * (h - x)

    def init_state(self, batch: int, context: int) -> Chunk:
        m_BDS = self.blank(batch, self.dim, self.average.size, random=context > 0)
        k_BCE, v_BCV = (
            self.blank(batch, self.chunk, width, random=True)
            for width in (self.head.width, self.value_width)
        )
        return Chunk(wide(m_BDS), k_BCE, v_BCV, context)

    def step(self, x_BD: Tensor, v_BV: Tensor, state: Chunk) -> tuple[Tensor, Chunk]:
        _, o_BV, state = self._advanced(x_BD, v_BV, state)
        return o_BV.unsqueeze(1), state

    def decode(self, x_BD: Tensor, state: Chunk) -> tuple[Tensor, Chunk]:
        (x_BD, v_BV), state = self.project_step(x_BD, state)
        a_BD, o_BV, state = self._advanced(x_BD, v_BV, state)
        return self._gated(x_BD, a_BD, o_BV), state

    def _advanced(self, x_BD: Tensor, v_BV: Tensor, state: Chunk) -> tuple[Tensor, Tensor, Chunk]:
        a_BD, m_BDS = self.average.step(x_BD, state.m_BDS)
        q_BE, k_BE = self.head.queries_and_keys(a_BD)
        at = state.length % self.chunk
        state.k_BCE[:, at], state.v_BCV[:, at] = k_BE, v_BV
        o_BV = self.head.one(q_BE, state.k_BCE[:, : at + 1], state.v_BCV[:, : at + 1])
        return a_BD, o_BV, replace(state, m_BDS=m_BDS, length=state.length + 1)
