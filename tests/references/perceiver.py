from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A sequence at a time, on its real tokens alone."""
    T = q_BHTK.shape[2]
    rows = min(T, layer.config.latents) if layer.causal else T
    outs = []
    for b in range(len(q_BHTK)):
        n = T if valid_BT is None else int(valid_BT[b].sum())
        q_HTK, k_HTK, v_HTK = (x[b, :, :n] for x in (q_BHTK, k_BHTK, v_BHTK))
        one = _autoregressive if layer.causal else _io
        out_HTK = one(layer, q_HTK, k_HTK, v_HTK)
        missing = (out_HTK.shape[0], rows - out_HTK.shape[1], out_HTK.shape[2])
        outs.append(torch.cat([out_HTK, out_HTK.new_zeros(missing)], dim=1))
    return torch.stack(outs)


def _io(layer: Any, q_HTK: Tensor, k_HTK: Tensor, v_HTK: Tensor) -> Tensor:
    w = dict(layer.named_parameters())
    K = q_HTK.shape[2]
    z_MD = w["latents_MD"]
    latent_q_MD = _norm(w, "query.0", z_MD) @ w["query.1.weight"].T
    y_MD = _joined(_attention(_heads(latent_q_MD, K), k_HTK, v_HTK))
    z_MD = _latents(layer, z_MD + _linear(w, "read", y_MD))
    z_MD = _norm(w, "norm", z_MD)
    keys, values = (_heads(z_MD @ w[f"{name}.weight"].T, K) for name in ("key", "value"))
    return _attention(q_HTK, keys, values)


def _autoregressive(layer: Any, q_HTK: Tensor, k_HTK: Tensor, v_HTK: Tensor) -> Tensor:
    n, K = q_HTK.shape[1:]
    M = min(n, layer.config.latents)
    rows = [
        _attention(q_HTK[:, t : t + 1], k_HTK[:, : t + 1], v_HTK[:, : t + 1])
        for t in range(n - M, n)
    ]
    read_MD = _linear(dict(layer.named_parameters()), "read", _joined(torch.cat(rows, dim=1)))
    return _heads(_latents(layer, read_MD), K)


def _latents(layer: Any, z_MD: Tensor) -> Tensor:
    w = dict(layer.named_parameters())
    z_MD = z_MD + _mlp(w, "feed", z_MD)
    seen_MM = torch.ones(len(z_MD), len(z_MD))
    for i in range(layer.config.layers):
        qkv = _norm(w, f"layers.{i}.norm", z_MD) @ w[f"layers.{i}.qkv.weight"].T
        q, k, v = (_heads(x, layer.head_dim) for x in qkv.chunk(3, dim=1))
        y_MD = _joined(_attention(q, k, v, seen_MM.tril() if layer.causal else seen_MM))
        z_MD = z_MD + _linear(w, f"layers.{i}.out", y_MD)
        z_MD = z_MD + _mlp(w, f"layers.{i}.feed", z_MD)
    return z_MD


def _attention(
    q_HTK: Tensor, k_HSK: Tensor, v_HSK: Tensor, seen_TS: Tensor | None = None
) -> Tensor:
    weights_HTS = torch.exp(torch.einsum("htk,hsk->hts", q_HTK, k_HSK) / q_HTK.shape[2] ** 0.5)
    if seen_TS is not None:
        weights_HTS = weights_HTS * seen_TS
    return torch.einsum("hts,hsk->htk", weights_HTS / weights_HTS.sum(2, keepdim=True), v_HSK)


def _heads(x_TD: Tensor, head_dim: int) -> Tensor:
    return torch.stack(torch.split(x_TD, head_dim, dim=1))


def _joined(x_HTK: Tensor) -> Tensor:
    return torch.cat(list(x_HTK), dim=1)


def _mlp(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    h = _linear(w, f"{name}.1", _norm(w, f"{name}.0", x))
    return _linear(w, f"{name}.3", h * (1 + torch.erf(h / 2**0.5)) / 2)


def _linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
