from tests.forms.work import Case, D, Work, product


def form(case: Case) -> Work:
    """The network that gives the filter, for each position; a Fourier transform is no product."""
    N, W, options = case.tokens, case.options.filter_width, case.options
    first = product(N, options.filter_features, W, learn=1)
    return first + (options.filter_layers - 1) * product(N, W, W) + product(N, W, D)
