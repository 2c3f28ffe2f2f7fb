"""Linear Transformer: attention as a product of positive features."""

from typing import final

from torch import Tensor
from torch.nn.functional import elu

from effattn_cli.attention import Card, Decodable, SurveyRow
from effattn_cli.parts.chunked import Kernel, Sums, linear_attention


@final
class LinearTransformer(Decodable[Sums]):
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
        lra=50.55,
        notes=("1e-6 is added to the denominator, as the authors' code has it",),
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        kernel = self._kernel()
        return linear_attention(kernel, q_BHTK, k_BHTK, v_BHTK, real_BT, causal=self.causal)

    def start(self, batch: int, context: int) -> Sums:
        return Sums.start(self, self.head_dim, batch, context)

    def step(self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Sums) -> tuple[Tensor, Sums]:
        return state.step(self._kernel(), q_BHK, k_BHK, v_BHK)

    def _kernel(self) -> Kernel:
        return Kernel(query=_features, key=_features, width=self.head_dim, epsilon=1e-6)


def _features(x: Tensor) -> Tensor:
    return elu(x).add_(1)
