"""What a variant may be beyond q, k and v of one width: each with the whole tool around it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Card, Input, Layer, PlainModule, decay, variant
from effattn_cli.cards import unmet
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import Unsupported, UsageError
from effattn_cli.measure.counting import count
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.plugins.gated_delta import TAPS, GatedDelta
from tests.plugins.latent import Latent
from tests.running import effattn

D, H, K, T, B = 32, 4, 8, 24, 2
PLUGINS = Path(__file__).parent / "plugins"
CARD = Card(
    title="Decayed", families=("own",), paper="", year=2026, time="N", memory="N",
    causal="always", kind="own mechanism",
)  # fmt: skip


@variant(card=CARD, inputs={"v": Input("kv_heads"), "decay": Input(width=None, sample=decay)})
def decayed(v_BHTK: Tensor, decay_BHT: Tensor) -> Tensor:
    """The sum of the values so far, each of which fades."""
    past_BHT = decay_BHT.cumsum(2)
    weights_BHTS = (past_BHT[..., None] - past_BHT[..., None, :]).tril().exp().tril()
    return weights_BHTS @ v_BHTK


def built(cls: type[Layer], *, options: dict[str, Any] | None = None, **axes: Any) -> Subject:
    setting = Setting(**({"dim": D, "heads": H, "batch": B, "causal": True} | axes))
    cell = Cell(variant="mine", options=options or {}, seq=T, setting=setting)
    assert count(cls, cell).cost.matmul_flops >= 0
    return build(cls, cell)


@pytest.mark.parametrize("cls", [Latent, GatedDelta])
@pytest.mark.parametrize("law", [law for law in laws.LAWS if law != "growth"])
def test_mixers_of_other_inputs_keep_the_laws(cls: type[Layer], law: str) -> None:
    laws.LAWS[law](cls)


@pytest.mark.parametrize("scope", ["core", "layer", "block"])
@pytest.mark.parametrize("phase", ["forward", "train", "decode"])
@pytest.mark.parametrize("cls", [Latent, GatedDelta])
def test_every_scope_and_phase_runs(cls: type[Layer], phase: Any, scope: Any) -> None:
    out = built(cls, phase=phase, scope=scope).call()
    whole = (B, D) if phase == "decode" else (B, T, D)
    wide = 2 * K if cls is GatedDelta else K
    core = (B, H, wide) if phase == "decode" else (B, H, T, wide)
    assert out.shape == (core if scope == "core" else whole)
    assert out.isfinite().all()


def test_a_core_is_fed_what_its_inputs_hold() -> None:
    q, k, v, decays, betas = built(GatedDelta).inputs
    assert [x.shape for x in (q, k)] == [(B, H, T, K)] * 2
    assert q.transpose(1, 2).is_contiguous()  # as a layer hands it over
    assert (v.shape, decays.shape, betas.shape) == ((B, H, T, 2 * K), (B, H, T), (B, H, T))
    assert (decays < 0).all()
    assert decays.mean() > -0.1
    assert ((betas > 0) & (betas < 1)).all()
    query, latent, place = built(Latent).inputs
    assert (query.shape, latent.shape, place.shape) == ((B, H, T, K + 8), (B, T, 32), (B, T, 8))


def test_a_state_counts_however_deep_it_is() -> None:
    matrix = B * H * 2 * K * K * 4
    subject = built(GatedDelta, phase="decode", scope="layer")
    assert sum(x.nbytes for x in subject.state) == matrix + B * (TAPS - 1) * D * 4
    assert sum(x.nbytes for x in built(GatedDelta, phase="decode").state) == matrix
    assert sum(x.nbytes for x in built(Latent, phase="decode").state) == B * T * (32 + 8) * 4


def test_a_function_takes_the_inputs_that_it_declares() -> None:
    v_BHTK, decay_BHT = built(decayed).inputs
    layer = decayed(decayed.Config(dim=D, heads=H, causal=True))
    want_BHK = torch.zeros(B, H, K)
    for t in range(T):
        want_BHK = want_BHK * decay_BHT[:, :, t, None].exp() + v_BHTK[:, :, t]
    torch.testing.assert_close(layer.attend(v_BHTK, decay_BHT)[:, :, -1], want_BHK)
    laws.LAWS["causality"](decayed)


def test_a_plain_module_is_given_the_widths_that_it_names() -> None:
    cls: Any = catalog.load("mixer", f"{PLUGINS / 'two_plain.py'}:Mixer", kind=PlainModule)
    subject = built(cls, scope="layer", causal=False, options={"kernel": 3})
    module: Any = subject.module
    assert cls.options() == ("kernel", "activation")
    assert (module.module.heads, module.module.inside.taps.shape) == (H, (3, D))
    x = subject.inputs[0]
    torch.testing.assert_close(subject.call(), module.module(x)[0])
    for law in ("shape and dtype", "any length", "batch independence", "gradients"):
        laws.LAWS[law](cls)


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ({"scope": "core"}, "Mixer is a plain module, whose core is not known"),
        ({"phase": "decode"}, "Mixer cannot decode"),
        ({"padding": 0.5}, "Mixer cannot be given padding"),
        ({"causal": True}, "Mixer cannot be causal"),
    ],
)
def test_what_a_plain_module_does_not_show_is_not_asked(axes: dict[str, Any], why: str) -> None:
    cls = catalog.load("mixer", f"{PLUGINS / 'two_plain.py'}:Mixer", kind=Layer)
    with pytest.raises(Unsupported, match=f"^{why}$"):
        built(cls, **{"scope": "layer", "causal": False, **axes})


@pytest.mark.in_ci
@pytest.mark.parametrize(
    "plugin", [f"{PLUGINS / 'two_plain.py'}:Mixer", "tests.plugins.two_plain:Mixer"]
)
def test_a_plain_module_is_profiled_beside_the_baseline(tmp_path: Path, plugin: str) -> None:
    out = str(tmp_path / "p.yaml")
    words = ["-v", "mixer:kernel=2,8", "-s", "64", "--dim", "64", "--rounds", "1", "-q", "-o", out]
    ended = effattn("profile", "--plugin", plugin, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    assert "mixer is a plain module: measured at scope layer" in ended.stderr
    document = json.loads(ended.stdout)
    cells = [(r["cell"]["variant"], r["cell"]["options"]) for r in document["records"]]
    assert cells == [("sdpa", {}), ("mixer", {"kernel": 2}), ("mixer", {"kernel": 8})]
    assert {r["cell"]["setting"]["scope"] for r in document["records"]} == {"layer"}
    assert all(record["runs"] and record["cost"] for record in document["records"])
    assert document["variants"]["mixer"]["card"]["causal"] == "never"


@pytest.mark.parametrize(
    ("plugin", "error", "says"),
    [
        (f"{PLUGINS / 'two_plain.py'}", BrokenPlugin, "plain modules Mixer, Inside: name one"),
        (f"{PLUGINS / 'two_plain.py'}:Inside", BrokenPlugin, "its parameter 'width' has no defau"),
        (f"{PLUGINS / 'two_plain.py'}:Other", BrokenPlugin, "there is no class 'Other'"),
        ("tests.plugins.nowhere:Mixer", UsageError, "there is no module 'tests.plugins.nowhere'"),
        ("nowhere.py", UsageError, "there is no plugin file or folder 'nowhere.py'"),
    ],
)
def test_a_plugin_that_cannot_be_one_says_why(plugin: str, error: type, says: str) -> None:
    with pytest.raises(error) as caught:
        described(plugin)
    assert says in str(caught.value)


def described(plugin: str) -> None:
    plugins = Catalog([plugin])
    for name in set(plugins.names()) - set(Catalog().names()):
        plugins.variant(name)


NEEDY = """
import nowhere_to_be_found
from effattn_cli.attention import Card, variant

@variant(card=Card(title="Needy", families=("own",), paper="", year=2026, time="N", memory="N",
                   causal="never", kind="own mechanism", requires=("nowhere_to_be_found",)))
def needy(q, k, v):
    "Gives the values back."
    return v
"""


def test_a_package_that_a_card_requires_is_named_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text(NEEDY)
    words = ["-v", "needy", "-s", "64", "--dim", "64", "--rounds", "1", "-q", "--baseline", "none"]
    plugin = ["--plugin", str(tmp_path)]
    ended = effattn("profile", *plugin, *words, "-o", str(tmp_path / "p.yaml"))
    assert ended.returncode == 4  # nothing was measured
    assert "not supported: Needy needs the package 'nowhere_to_be_found'" in ended.stdout
    (tmp_path / "needy.py").write_text(NEEDY.replace("requires", "notes"))
    with pytest.raises(ModuleNotFoundError):  # its own fault where the card says nothing
        catalog.load("needy", tmp_path / "needy.py")


def test_a_device_that_a_card_requires_is_named_where_it_is_missing() -> None:
    card = Card(
        title="Mine", families=(), paper="", year=0, time="", memory="", causal="never",
        kind="own mechanism", requires=("CUDA", "torch"),
    )  # fmt: skip
    assert unmet(card, "cuda:1") is None
    assert unmet(card, "cpu") == "Mine needs a device of the kind cuda"
    cls: Any = variant(card=card)(lambda q, k, v: v)
    with pytest.raises(Unsupported, match="needs a device of the kind cuda"):
        built(cls, causal=False)
