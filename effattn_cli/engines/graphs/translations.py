"""The operators of `parts.operators` as ONNX nodes: `LinearAttention` and `CausalConvWithState` of
opset 27.

In these, heads are packed into the last axis: (B, T, H K) for (B, H, T, K).
"""

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
from onnx import defs
from onnxscript import opset18 as op
from onnxscript.values import Op, Opset

OPSET = 27
#: torch converts what it exported from one opset to the next, and rejects newer nodes: until then
#: they are in a separate domain.
DOMAIN = "effattn"


def _newer(name: str) -> Op:
    schema = defs.get_schema(name, OPSET)
    constraints = [
        (kind.type_param_str, list(kind.allowed_type_strs), kind.description)
        for kind in schema.type_constraints
    ]
    own = defs.OpSchema(
        name, DOMAIN, 1, inputs=schema.inputs, outputs=schema.outputs,
        type_constraints=constraints, attributes=list(schema.attributes.values()),
    )  # fmt: skip
    return Op(Opset(DOMAIN, 1), name, own)


def _write_out_masks(graph: Any) -> None:
    """Expands a mask that is the same for all queries: ONNX Runtime requires one row per query."""
    for node in [node for node in graph if node.op_type == "Attention" and len(node.inputs) > 3]:
        query, mask = node.inputs[0], node.inputs[3]
        if mask is None or mask.shape is None or mask.shape[-2] != 1 or query.shape[-2] == 1:
            continue
        shape = [*mask.shape[:-2], query.shape[-2], mask.shape[-1]]
        name = f"{node.name}_mask"
        sizes = ir.Value(name=f"{name}_shape", const_value=ir.tensor(shape, ir.DataType.INT64))
        graph.register_initializer(sizes)
        written = ir.node("Expand", [mask, sizes], name=name)
        written.outputs[0].name = f"{name}_written_out"
        graph.insert_before(node, written)
        node.replace_input_with(3, written.outputs[0])


LINEAR_ATTENTION, CAUSAL_CONV = _newer("LinearAttention"), _newer("CausalConvWithState")


def finish(model: Any) -> None:
    """Moves the newer operators of a model to the ONNX domain, and sets the opset."""
    _write_out_masks(model.graph)
    nodes = [node for node in model.graph if node.domain == DOMAIN]
    for node in nodes:
        node.domain, node.version = "", OPSET
    if nodes:
        model.opset_imports.pop(DOMAIN, None)
        model.opset_imports[""] = OPSET


def delta_rule(q_BGTK: Any, k_BGTK: Any, v_BHTV: Any, beta_BHT: Any, decay: Any) -> Any:
    """With one decay per head, or one per channel; `beta` and `decay` have any dtype."""
    return _attention("gated_delta", q_BGTK, k_BGTK, v_BHTV, decay, beta_BHT)


def decay_scan(q_BGTK: Any, k_BGTK: Any, v_BHTV: Any, decay: Any) -> Any:
    return _attention("gated", q_BGTK, k_BGTK, v_BHTV, decay, None)


def short_convolution(
    x_BTE: Any, weight_EL: Any, bias_E: Any = None, *, activate: bool = False
) -> Any:
    weight_E1L = op.Unsqueeze(weight_EL, _numbers(1))
    inputs = op.Transpose(x_BTE, perm=[0, 2, 1]), weight_E1L, bias_E
    y_BET, _ = CAUSAL_CONV(*inputs, activation="silu" if activate else "none")
    return op.Transpose(y_BET, perm=[0, 2, 1])


def delta_step(
    q_BHK: Any, k_BHK: Any, v_BHV: Any, beta_BH: Any, decay: Any, state_BHKV: Any
) -> Any:
    return _attention_step("gated_delta", q_BHK, k_BHK, v_BHV, decay, beta_BH, state_BHKV)


def decay_step(q_BHK: Any, k_BHK: Any, v_BHV: Any, decay: Any, state_BHKV: Any) -> Any:
    return _attention_step("gated", q_BHK, k_BHK, v_BHV, decay, None, state_BHKV)


def short_convolution_step(
    x_BE: Any, weight_EL: Any, bias_E: Any, recent_BSE: Any, *, activate: bool = False
) -> Any:
    weight_E1L, x_BE1 = op.Unsqueeze(weight_EL, _numbers(1)), op.Unsqueeze(x_BE, _numbers(2))
    recent_BES = op.Transpose(recent_BSE, perm=[0, 2, 1])
    inputs = x_BE1, weight_E1L, bias_E, recent_BES
    y_BE1, next_BES = CAUSAL_CONV(*inputs, activation="silu" if activate else "none")
    return op.Squeeze(y_BE1, _numbers(2)), op.Transpose(next_BES, perm=[0, 2, 1])


def _attention_step(
    rule: str, q_BHK: Any, k_BHK: Any, v_BHV: Any, decay: Any, beta: Any, state_BHKV: Any
) -> Any:
    """The same for one token, given a state."""
    B, H, V = v_BHV.shape
    kind = v_BHV.dtype
    q_B1E, k_B1E, v_B1E = (op.Reshape(x, _numbers(B, 1, -1)) for x in (q_BHK, k_BHK, v_BHV))
    if len(decay.shape) == 1:
        decay = op.Expand(op.Reshape(decay, _numbers(1, H)), _numbers(B, H))
    fading = op.Cast(op.Reshape(decay, _numbers(B, 1, -1)), to=kind)
    step = None if beta is None else op.Cast(op.Reshape(beta, _numbers(B, 1, -1)), to=kind)
    y_B1E, next_BHKV = LINEAR_ATTENTION(
        q_B1E, k_B1E, v_B1E, state_BHKV, fading, step,
        q_num_heads=H, kv_num_heads=H, update_rule=rule, scale=1.0,
    )  # fmt: skip
    return op.Reshape(y_B1E, _numbers(B, H, V)), next_BHKV


def _attention(rule: str, q_BGTK: Any, k_BGTK: Any, v_BHTV: Any, decay: Any, beta: Any) -> Any:
    (B, H, T, V), K = v_BHTV.shape, k_BGTK.shape[-1]
    kind = v_BHTV.dtype
    q_BHTK, k_BHTK = (_each_head(x, H) for x in (q_BGTK, k_BGTK))
    steps = None if beta is None else op.Cast(op.Transpose(beta, perm=[0, 2, 1]), to=kind)
    y_BTE, _ = LINEAR_ATTENTION(
        _packed(q_BHTK, H * K), _packed(k_BHTK, H * K), _packed(v_BHTV, H * V), None,
        op.Cast(_each_token(decay, B, T), to=kind), steps,
        q_num_heads=H, kv_num_heads=H, update_rule=rule, scale=1.0,
    )  # fmt: skip
    return op.Transpose(op.Reshape(y_BTE, _numbers(B, T, H, V)), perm=[0, 2, 1, 3])


def _each_token(decay: Any, batch: int, tokens: int) -> Any:
    """The decay of each token, (B, T, H) or (B, T, H K); one for all tokens is repeated."""
    if len(decay.shape) == 1:
        H = decay.shape[0]
        return op.Expand(op.Reshape(decay, _numbers(1, 1, H)), _numbers(batch, tokens, H))
    if len(decay.shape) == 3:
        return op.Transpose(decay, perm=[0, 2, 1])
    return _packed(decay, decay.shape[1] * decay.shape[3])


def _each_head(x_BGTK: Any, heads: int) -> Any:
    """Repeats each key head to match the heads."""
    B, G, T, K = x_BGTK.shape
    if heads == G:
        return x_BGTK
    x_BGRTK = op.Expand(op.Unsqueeze(x_BGTK, _numbers(2)), _numbers(B, G, heads // G, T, K))
    return op.Reshape(x_BGRTK, _numbers(B, heads, T, K))


def _packed(x_BHTK: Any, width: int) -> Any:
    return op.Reshape(op.Transpose(x_BHTK, perm=[0, 2, 1, 3]), _numbers(0, 0, width))


def _numbers(*values: int) -> Any:
    return op.Constant(value_ints=[int(value) for value in values])


#: By the name of the function in `parts`.
TABLE: Mapping[str, Callable[..., Any]] = {
    "delta_rule": delta_rule,
    "step_sized_delta_rule": delta_rule,
    "decay_scan": decay_scan,
    "short_convolution": short_convolution,
    "step_sized_delta_step": delta_step,
    "decay_step": decay_step,
    "short_convolution_step": short_convolution_step,
}
