from tests.forms.work import Case, H, K, Work, attention, ceil, product

OPTIONS = {"block_size": 48}


def form(case: Case) -> Work:
    """Two layers over Z blocks' sums sort whole blocks of k and v; a query sees 2 C keys.

    Where the last block is not full, the sorting says how much of each sorted token is real.
    """
    C = case.options.block_size
    Z = ceil(case.tokens, C)
    sorted_ = Z - 1 if case.causal else Z  # the first block has none before it
    network = product(sorted_, 2 * K, K) + product(sorted_, K, Z - 1 if case.causal else Z)
    partly = case.tokens % C > 0 and not case.causal
    shares = H * product(Z, Z, C, learn=1) if partly else Work()
    mixing = H * (network + 2 * product(Z, Z, C * K)) + shares
    return mixing + attention(2 * Z * C**2, mask_learns=partly)
