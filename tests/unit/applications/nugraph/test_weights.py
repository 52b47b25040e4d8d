"""Weights are read without running anything; wrong ones are refused with the reason."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from naiad.applications.nugraph.card import Architecture, NuGraph3Card
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.weights import import_checkpoint, load_weights, save_weights
from naiad.card import read_card
from naiad.errors import WeightsError
from naiad.weights import CARD_FILE, TENSORS_FILE, read_checkpoint

SMALL = Architecture(
    semantic_classes=2,
    event_classes=3,
    planar_features=8,
    nexus_features=4,
    interaction_features=4,
    num_iters=2,
)
HYPER_PARAMETERS = {
    "in_features": 4,
    "planar_features": 8,
    "nexus_features": 4,
    "interaction_features": 4,
    "planes": ["u", "v", "y"],
    "semantic_classes": ["track", "shower"],
    "event_classes": ["a", "b", "c"],
    "num_iters": 2,
    "event_head": True,
    "semantic_head": True,
    "filter_head": True,
    "vertex_head": True,
    "use_checkpointing": True,
    "lr": 0.001,
}


def make_card(**changes) -> NuGraph3Card:
    values = {
        "architecture": SMALL,
        "semantic_classes": ("track", "shower"),
        "event_classes": ("a", "b", "c"),
        "mean": dict.fromkeys("uvy", (1.0, 2.0, 3.0, 4.0)),
        "std": dict.fromkeys("uvy", (5.0, 6.0, 7.0, 8.0)),
        "notice": "trained on simulated events, not for physics",
        "provenance": {"seed": "7"},
    }
    return NuGraph3Card(**{**values, **changes})


def make_net() -> NuGraph3Net:
    torch.manual_seed(1)
    return NuGraph3Net(SMALL)


@pytest.fixture
def folder(tmp_path) -> Path:
    save_weights(make_net(), make_card(), tmp_path / "weights")
    return tmp_path / "weights"


def checkpoint(path: Path, **changes) -> Path:
    """Write a checkpoint as Lightning does, with the optimiser's and schedule's state."""
    state = {"event_decoder.temp": torch.zeros(()), **make_net().state_dict()}
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.1.3",
        "state_dict": OrderedDict(state),
        "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0)}}, "n": torch.arange(3)}],
        "lr_schedulers": [{"anneal_func": torch.optim.lr_scheduler.OneCycleLR._annealing_cos}],
        "hyper_parameters": HYPER_PARAMETERS,
    }
    torch.save({**content, **changes}, path, pickle_protocol=2)
    return path


def test_what_is_saved_is_loaded(folder):
    net, card = load_weights(folder)
    assert card == make_card(sha256=card.sha256, versions=card.versions)
    assert set(card.versions) == {"naiad", "torch"}
    assert card == read_card(folder, NuGraph3Card)
    assert not net.training
    for name, tensor in make_net().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    assert [t.tolist() for t in net.normalisation("v")] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_card_needs_no_torch(folder):
    code = (
        "import sys; from pathlib import Path; "
        "from naiad.applications.nugraph.card import NuGraph3Card; "
        "from naiad.card import read_card; "
        f"read_card(Path({str(folder)!r}), NuGraph3Card); "
        "assert not {'torch', 'scipy', 'pandas', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_that_do_not_belong_together_are_refused(folder):
    data = bytearray((folder / TENSORS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / TENSORS_FILE).write_bytes(data)
    with pytest.raises(WeightsError, match=r"its sha256 is .* do not belong together"):
        load_weights(folder)


def test_a_file_larger_than_the_network_is_refused_unread(folder):
    with (folder / TENSORS_FILE).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(WeightsError, match=r"1,099,511,627,776 bytes; .* needs at most"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("vertex_decoder.net.bias"), "has no vertex_decoder.net.bias"),
        (lambda t: t.update(spare=torch.zeros(1)), "has an unknown tensor spare"),
        (
            lambda t: t.update({"encoder.lins.u.weight": torch.zeros(9, 4)}),
            r"encoder.lins.u.weight is torch.float32 \[9, 4\]; .* needs torch.float32 \[8, 4\]",
        ),
        (
            lambda t: t.update({"encoder.lins.u.weight": torch.zeros(8, 4).half()}),
            "encoder.lins.u.weight is torch.float16",
        ),
    ],
)
def test_weights_of_another_network_are_refused(folder, change, message):
    tensors = load_file(folder / TENSORS_FILE)
    change(tensors)
    save_file(tensors, folder / TENSORS_FILE)
    rehash(folder)
    with pytest.raises(WeightsError, match=message):
        load_weights(folder)


def rehash(folder: Path, **changes) -> None:
    values = json.loads((folder / CARD_FILE).read_text())
    values["sha256"] = hashlib.sha256((folder / TENSORS_FILE).read_bytes()).hexdigest()
    (folder / CARD_FILE).write_text(json.dumps({**values, **changes}))


def test_a_file_that_is_not_safetensors_is_refused(folder):
    (folder / TENSORS_FILE).write_bytes(b"\xff" * 100)
    rehash(folder)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(folder)


@pytest.mark.parametrize("missing", [CARD_FILE, TENSORS_FILE])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(WeightsError, match=missing):
        load_weights(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"semantic_classes": ["one"]}, "1 names for 2 semantic classes"),
        ({"mean": {"u": [1, 2, 3, 4]}}, r"mean is of planes \['u'\]"),
        ({"std": dict.fromkeys("uvy", (1, 2, 3))}, "std of plane u is .* 4 finite numbers"),
        ({"std": dict.fromkeys("uvy", (1, 2, 3, 0))}, "std must be above 0"),
        ({"mean": dict.fromkeys("uvy", (1, 2, 3, float("nan")))}, "4 finite numbers"),
        ({"architecture": {"planes": ["u"], "planar_features": 10**9}}, "planar_features"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(folder, changes, message):
    rehash(folder, **changes)
    with pytest.raises(WeightsError, match=message):
        read_card(folder, NuGraph3Card)


def test_a_network_is_not_saved_with_the_card_of_another(tmp_path):
    with pytest.raises(WeightsError, match="its card has"):
        save_weights(NuGraph3Net(), make_card(), tmp_path)


def test_the_original_checkpoint_is_imported(shared_data, tmp_path):
    source = shared_data / "nugraph3" / "hierarchical.ckpt"
    card = import_checkpoint(source, tmp_path / "w")
    assert card.architecture == Architecture()
    assert card.semantic_classes == (
        *("pion", "muon", "kaon", "hadron", "shower", "michel", "diffuse"),
    )
    assert card.event_classes == ("cc_nue", "cc_numu", "cc_nutau", "nc")
    assert card.mean["u"] == (389.42752, 172.90794, 147.81108, 4.5563765)
    assert card.provenance["epoch"] == "79"
    net, _ = load_weights(tmp_path / "w")
    assert sum(parameter.numel() for parameter in net.parameters()) == 295_818


def test_a_checkpoint_is_imported_as_torch_would_load_it(tmp_path):
    norm = tmp_path / "norm.json"
    norm.write_text(
        json.dumps(
            {
                "mean": dict.fromkeys("uvy", (9, 9, 9, 9)),
                "std": dict.fromkeys("uvy", (1, 1, 1, 1)),
            }
        )
    )
    source = checkpoint(tmp_path / "a.ckpt")
    card = import_checkpoint(source, tmp_path / "w", normalisation=norm, notice="mind")
    assert card.mean["y"] == (9, 9, 9, 9)
    assert card.notice == "mind"
    net, _ = load_weights(tmp_path / "w")
    for name, tensor in make_net().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


def test_numbers_of_another_precision_are_imported(tmp_path):
    state = {name: tensor.double() for name, tensor in make_net().state_dict().items()}
    import_checkpoint(checkpoint(tmp_path / "a.ckpt", state_dict=state), tmp_path / "w")
    net, _ = load_weights(tmp_path / "w")
    for name, tensor in make_net().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


class Payload:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def touch(path: Path) -> Payload:
    return Payload(exec, (f"import pathlib; pathlib.Path({str(path)!r}).touch()",))


def forge(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return path


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(path, path.parent / "w")
    assert not (path.parent / "w").exists()


@pytest.mark.parametrize(
    ("protocol", "message"), [(2, r"asks for builtins\.exec"), (4, "cannot be read safely")]
)
def test_a_checkpoint_that_carries_code_is_refused_and_not_run(tmp_path, protocol, message):
    mark = tmp_path / "the payload ran"
    data = pickle.dumps({"state_dict": touch(mark), "hyper_parameters": {}}, protocol)
    refused(forge(tmp_path / "evil.ckpt", data), message)
    assert not mark.exists()
    # The payload is a real one: this is what reading it without care does.
    pickle.loads(data)
    assert mark.exists()


def spelled(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def test_code_that_hides_behind_allowed_names_is_not_run(tmp_path):
    """``getattr`` is allowed as a placeholder, which must not give access to anything."""
    mark = tmp_path / "the payload ran"
    # getattr(OneCycleLR, "__init__").__globals__ and so on, as far as a pickle can go with it.
    data = b"c__builtin__\ngetattr\n(ctorch.optim.lr_scheduler\nOneCycleLR\n"
    data += spelled("__init__") + b"tR"
    for name in ("__globals__", "os", "system", f"touch '{mark}'"):
        data += b"(" + spelled(name) + b"tR"
    refused(forge(tmp_path / "evil.ckpt", data + b"."), "unrecognized function None")
    assert not mark.exists()


def test_a_pickle_cannot_change_what_stands_for_its_names(tmp_path):
    data = b"c__builtin__\ngetattr\n(N}" + spelled("name") + spelled("x") + b"stb."
    refused(forge(tmp_path / "evil.ckpt", data), "Can only build Tensor")
    test_a_checkpoint_is_imported_as_torch_would_load_it(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        b"cos\nsystem\n.",
        b"cbuiltins\neval\n.",
        b"ctorch\nload\n.",
        b"ccollections\nnamedtuple\n.",
        b"ctorch.optim.lr_scheduler\nLambdaLR\n.",
    ],
)
def test_every_other_name_is_refused_by_name(tmp_path, name):
    wanted = name.decode().split()
    refused(forge(tmp_path / "a.ckpt", name), rf"asks for {wanted[0][1:]}\.{wanted[1]}")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02}",
        b"}r\xff\xff\xff\xff.",  # a memo of 4 billion entries
        b"(VstorageVxVyVcpuI1\ntQ.",
        pickle.dumps([1]),
        pickle.dumps({"state_dict": {}}),
        pickle.dumps({"state_dict": 1, "hyper_parameters": {}}),
        pickle.dumps({"state_dict": {"a": 1}, "hyper_parameters": {}}),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, data):
    refused(forge(tmp_path / "a.ckpt", data), r"a\.ckpt")


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    refused(path, "No such file")
    path.write_bytes(b"something else")
    refused(path, "cannot be read safely")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "hello")
    refused(path, "cannot be read safely")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_checkpoint_cut_short_is_refused(tmp_path, keep):
    path = checkpoint(tmp_path / "a.ckpt")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    refused(path, "cannot be read safely")


def test_what_would_unpack_to_more_than_is_allowed_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (1 << 21))
    with pytest.raises(WeightsError, match="2,097,152 bytes; at most 1,048,576 are read"):
        read_checkpoint(path, largest=1 << 20)


def test_a_storage_smaller_than_its_tensor_is_refused(tmp_path):
    good = checkpoint(tmp_path / "good.ckpt")
    path = tmp_path / "bad.ckpt"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data[:8] if name.endswith("data/3") else data)
    refused(path, "cannot be read safely")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vertex_head": False}, "without the vertex head"),
        ({"planes": "uvy?"}, "planes"),
        ({"planes": 3}, "hyper-parameter planes is 3"),
        ({"num_iters": "5"}, "num_iters is '5'"),
        ({"planar_features": 16}, r"needs torch.float32 \[16, 4\]"),
        ({"event_classes": ["a"]}, "event_decoder.net"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, changes, message):
    path = checkpoint(tmp_path / "a.ckpt", hyper_parameters={**HYPER_PARAMETERS, **changes})
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(path, tmp_path / "w")
    assert not (tmp_path / "w").exists()
