from effattn_cli.models.pieces import softmax
from effattn_cli.errors import UsageError
def named(variant, options, *, dim, heads, kv_heads, head_dim):
    if variant in ("sdpa","gqa"): return softmax(dim,heads,kv_heads,head_dim)
    raise UsageError(f"{variant} unknown")
