"""Linear Transformer: attention as a product of positive features."""

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn.functional import elu

from effattn_cli.attention import Card, Decodable, SurveyRow
from effattn_cli.parts.chunked import linear_attention

EPSILON = 1e-6  # in the denominator, as the authors have it


@dataclass(frozen=True)
class State:
    sum_BHKK: Tensor  # of phi(k) v^T
    weight_BHK: Tensor  # of phi(k)


@final
class LinearTransformer(Decodable[State]):
    """Replaces softmax by positive features of q and k, so that the sums can be taken first.

    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1) with phi(x) = elu(x) + 1
    (Transformers are RNNs, Katharopoulos et al. 2020, arXiv:2006.16236). The causal form runs in
    chunks; a decoding step updates a K x K state, however long the context is.
    """

    card = Card(
        title="Linear Transformer",
        families=("kernel",),
        paper="arXiv:2006.16236",
        year=2020,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
        survey=SurveyRow(complexity="N", decode=True, classes="KR"),
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        return linear_attention(
            q_BHTK, k_BHTK, v_BHTK, real_BT,
            query=_features, key=_features, width=self.head_dim,
            causal=self.causal, epsilon=EPSILON,
        )  # fmt: skip

    def start(self, batch: int, context: int) -> State:
        shape = (batch, self.heads, self.head_dim)
        random = context > 0
        weight_BHK = self.blank(*shape, random=random).abs() * context
        return State(self.blank(*shape, self.head_dim, random=random), weight_BHK)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: State
    ) -> tuple[Tensor, State]:
        q_BHK, k_BHK = _features(q_BHK), _features(k_BHK)
        sum_BHKK = state.sum_BHKK + k_BHK.unsqueeze(-1) * v_BHK.unsqueeze(-2)
        weight_BHK = state.weight_BHK + k_BHK
        top_BHK = (q_BHK.unsqueeze(-2) @ sum_BHKK).squeeze(-2)
        bottom_BH1 = (q_BHK * weight_BHK).sum(-1, keepdim=True)
        return top_BHK / (bottom_BH1 + EPSILON), State(sum_BHKK, weight_BHK)


def _features(x: Tensor) -> Tensor:
    return elu(x).add_(1)
