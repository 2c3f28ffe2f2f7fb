"""The decoding state of a layer."""

from effattn_cli.attention import Decodable, Layer, Unsupported
from effattn_cli.attention.decodable import tensors_of
from effattn_cli.records import Cell


def kept_bytes(layer: Layer, cell: Cell) -> int | None:
    """Its size after the cell's tokens, for the whole batch; None if the layer is not causal, or
    cannot decode.
    """
    if not layer.causal or not isinstance(layer, Decodable):
        return None
    try:
        state = layer.init_state(cell.setting.batch, cell.seq)
    except Unsupported:
        return None
    return sum(tensor.nbytes for tensor in tensors_of(state))
