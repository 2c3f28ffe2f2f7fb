from tests.forms.work import Case, H, K, Work, attention, product


def form(case: Case) -> Work:
    """Hashes of S bits, rounds of k-means on these and 1, and C queries in place of all."""
    options, N = case.options, case.tokens
    hashing = H * product(N, K, options.bits, learn=0)
    nearness = H * product(N, options.bits + 1, options.clusters, learn=0)
    return hashing + options.iterations * nearness + attention(options.clusters * N)
