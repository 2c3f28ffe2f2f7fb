"""The widths of a model's attention and its mixers, for sweeps that compare others with them."""

from effattn_cli.architecture import Mixer, Model
from effattn_cli.errors import UsageError
from effattn_cli.models.decoder import Shape
from effattn_cli.plan.model_choices import found

BY_HAND = "give --dim, --heads, --kv-heads and --head-dim"
FULL = "full_attention"
USUAL_WIDTH = 128  # of a head


def shape_like(text: str) -> Shape:
    """The shape of attention in a known model, or in that whose config.json or folder is named.

    A hybrid's is that of its full attention, or else of its first mixer with a cache. A model that
    has neither is compared with attention of heads of the usual width.

    Raises:
        UsageError: there is no such model or file, or it cannot be read right.
    """
    model = _model(text)
    mixer = _main(model)
    if mixer.heads == 1 and not model.dim % USUAL_WIDTH:
        heads = mixer.head_dim * mixer.heads // USUAL_WIDTH
        return Shape(model.dim, heads, heads, USUAL_WIDTH)
    return Shape(model.dim, mixer.heads, mixer.kv_heads, mixer.head_dim)


def own_mixers(like: str | None) -> tuple[str, ...]:
    """The mixers of a model, as they are typed; widths that are not those of its shape are given.

    Raises:
        UsageError: no model is named, or it cannot be read right.
    """
    if like is None:
        hint = "give --like config.json, or the name of a known model"
        raise UsageError("'own' stands for the mixers of a model, and none is named", hint)
    model = _model(like)
    main = _main(model)
    return tuple(dict.fromkeys(_typed(mixer, main) for mixer in _mixers(model)))


def _model(text: str) -> Model:
    try:
        return found(text)
    except UsageError as error:
        if error.hint and error.hint.startswith("did you mean"):
            raise
        raise UsageError(str(error), BY_HAND) from error


def _mixers(model: Model) -> list[Mixer]:
    """Those of the decoder, if it has one: each once, in their order."""
    decoding = [layer for layer in model.kinds if layer.stack == "decoder"] or model.kinds
    return [layer.mixer for layer in decoding if layer.mixer is not None]


def _main(model: Model) -> Mixer:
    mixers = _mixers(model)
    if not mixers:
        raise UsageError(f"{model.name} has no attention", BY_HAND)
    full = [mixer for mixer in mixers if mixer.kind == FULL]
    cached = [mixer for mixer in mixers if any(kept.what == "kv cache" for kept in mixer.keeps)]
    return [*full, *cached, *mixers][0]


def _typed(mixer: Mixer, main: Mixer) -> str:
    """`gqa:softcap=50,rotary=1`."""
    options = dict(mixer.options)
    for name in ("heads", "kv_heads", "head_dim") if mixer.heads > 1 else ():
        width = getattr(mixer, name)
        if width != getattr(main, name):
            options[name] = width
    words = ",".join(f"{name}={_word(value)}" for name, value in options.items())
    return f"{mixer.variant}:{words}" if words else mixer.variant


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
