from tests.forms.work import Case, H, K, Work, attention, ceil, product, triangle


def form(case: Case) -> Work:
    """Stretches of C tokens make a key and a value; causal, query t sees t // C and token 0."""
    C, stretches = case.options.compression, ceil(case.tokens, case.options.compression)
    pairs = C * triangle(stretches) if case.causal else case.tokens * stretches
    return 2 * H * product(stretches, C * K, K) + attention(pairs)
