"""The class of a variant, imported."""

import importlib
import importlib.util
import sys
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from effattn_cli import variants
from effattn_cli.cards import unmet
from effattn_cli.catalog.registry import describe
from effattn_cli.catalog.sources import BrokenPlugin, Source, installed, model_parts, named
from effattn_cli.errors import Unsupported

if TYPE_CHECKING:
    from effattn_cli.attention import Attention, Layer

    LayerT = TypeVar("LayerT", bound=Layer)

Place = str | PathLike[str]


@overload
def load(name: str, plugin: Place | None = None) -> "type[Attention]": ...
@overload
def load(name: str, plugin: Place | None = None, *, kind: "type[LayerT]") -> "type[LayerT]": ...
def load(name: str, plugin: Place | None = None, *, kind: Any = None) -> Any:
    """The class of a bundled variant, or of a plugin, named as in `--plugin`. Imports torch.

    `kind` is Attention unless it is given: FeedForward, or Layer for any. A plain `nn.Module`
    comes as a `PlainModule`.

    Raises:
        BrokenPlugin: there is no such class, not just one, or it is of another kind.
        Unsupported: its file imports a package that its card requires, and that is not there.
    """
    from effattn_cli.attention import Attention, FeedForward  # noqa: PLC0415

    source = _source(name, plugin)
    try:
        module = _import(source)
    except ModuleNotFoundError as error:
        missing = unmet(describe(source).card) if source.plugin else None
        if missing is None:
            raise
        raise Unsupported(missing) from error
    cls = _class(source, module)
    if issubclass(cls, FeedForward) != (cls.card.kind == "feed-forward"):
        raise BrokenPlugin(f"{name!r}: a FeedForward, and no other, has the kind 'feed-forward'")
    wanted = kind or Attention
    if not issubclass(cls, wanted):
        raise BrokenPlugin(f"{name!r} is no {wanted.__name__}")
    return cls


def _source(name: str, plugin: Place | None) -> Source:
    if plugin is None and name in model_parts():
        return model_parts()[name]
    stem = name.replace("-", "_")
    module = f"effattn_cli.variants.{stem}"
    if plugin is None or Path(plugin).parent in map(Path, variants.__path__):
        return Source(name, Path(f"{stem}.py"), module=module)
    for source in installed():  # its imports may be relative to its package
        if source.plugin == fspath(plugin):
            return source
    return next(source for source in named(fspath(plugin)) if source.name == name)


def _import(source: Source) -> Any:
    if source.module is not None:
        return importlib.import_module(source.module)
    module_name = f"effattn_plugin_{source.path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, source.path)
    if spec is None or spec.loader is None:
        raise BrokenPlugin(f"{source.path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def _class(source: Source, module: Any) -> Any:
    """The one that the source names, or the only one that the file defines."""
    from torch import nn  # noqa: PLC0415

    from effattn_cli.attention import Layer, PlainModule  # noqa: PLC0415

    if source.class_name is not None:
        cls = getattr(module, source.class_name, None)
        if not isinstance(cls, type) or not issubclass(cls, nn.Module):
            raise BrokenPlugin(f"{source.class_name} in {source.path} is no torch.nn.Module")
        return cls if issubclass(cls, Layer) else PlainModule.of(cls)
    types = [item for item in vars(module).values() if isinstance(item, type)]
    own = [item for item in types if item.__module__ == module.__name__]
    layers: list[type[nn.Module]] = [item for item in own if issubclass(item, Layer)]
    modules = [item for item in own if issubclass(item, nn.Module)]
    classes = layers or [item for item in modules if not item.__name__.startswith("_")]
    if len(classes) != 1:
        names = ", ".join(item.__name__ for item in classes) or "none"
        raise BrokenPlugin(f"variant {source.name!r} must hold one variant, found: {names}")
    return classes[0] if layers else PlainModule.of(classes[0])
