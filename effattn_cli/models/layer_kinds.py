"""The kind of each layer, in order, by the names that transformers has for them."""

from collections.abc import Callable

from effattn_cli.models.keys import Keys

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"

#: Takes the number of layers.
Layout = Callable[[Keys, int], list[str]]


def only(kind: str) -> Layout:
    """Layers of one kind."""
    return lambda _, count: [kind] * count


def whole(keys: Keys, count: int) -> list[str]:
    """The family's code has no windows: a key that speaks of them is left unread, and refused."""
    if set(keys.words("layer_types") or ()) - {FULL}:
        raise keys.refuse("layer_types", "the family has full attention only")
    return [FULL] * count


def sliding_where_windowed(keys: Keys, count: int) -> list[str]:
    """All layers have the window, if there is one."""
    return [SLIDING if keys.get("sliding_window") else FULL] * count


def full_every(usual: int, *names: str, first: bool = False, last: bool = False) -> Layout:
    """Full attention in every so many layers, counted from one, or from the first one itself.

    `names`: keys that say how many; `last`: the last layer is full whatever the count.
    """

    def kinds(keys: Keys, count: int) -> list[str]:
        every = keys.count(*names, default=usual) if names else usual
        offset = 0 if first else 1
        made = [SLIDING if (layer + offset) % every else FULL for layer in range(count)]
        return [*made[:-1], FULL] if last else made

    return kinds


def full_where(full: Callable[[int, int], bool]) -> Layout:
    """Full attention where the function says so of a layer's place and the number of layers."""
    return lambda _, count: [FULL if full(index, count) else SLIDING for index in range(count)]


def from_a_depth(keys: Keys, count: int) -> list[str]:
    """As Qwen2: windows only where they are switched on, and from a layer on."""
    on = keys.flag("use_sliding_window") and keys.get("sliding_window")
    depth = keys.count("max_window_layers", default=count, minimum=0)
    return [SLIDING if on and layer >= depth else FULL for layer in range(count)]


def given(
    keys: Keys, usual: Layout | None = None, allowed: tuple[str, ...] = (FULL, SLIDING)
) -> list[str]:
    """From `layer_types`, or the family's usual layout where there are none.

    Raises:
        UsageError: a kind is not among the allowed ones, or their number is not that of the layers.
    """
    count = keys.count(*LAYERS)
    if usual is whole:
        return whole(keys, count)
    keys.skip("sliding_window", "sliding_window_size")  # of no effect where no layer is sliding
    kinds, otherwise = keys.words("layer_types"), (usual or sliding_where_windowed)(keys, count)
    if kinds is None:
        return otherwise
    if len(kinds) != count:
        raise keys.refuse("layer_types", f"{len(kinds)} kinds for {count} layers")
    if wrong := [kind for kind in kinds if kind not in allowed]:
        raise keys.refuse("layer_types", f"{wrong[0]!r} is not known of this family")
    return kinds
