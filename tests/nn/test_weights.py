"""Weights on disk: what is written is read; what is no weights file is refused, and nothing in it runs."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.torch_version import TorchVersion

from deburr.core.errors import ReadError, WriteError
from deburr.nn.spd.network import SpdNet
from deburr.nn.weights import MAX_HEADER, check_torch, fit, import_checkpoint, read, save
from deburr.train.checkpoint import read_state


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor(3)}
    card = {"model": "toy", "seed": 3, "validation": {"1 %": 0.5}}
    save(path, tensors, card)
    back, card_back = read(path, model="toy")
    assert card_back == card
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_begins_as_a_pickle_does_is_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    for padding in range(length):
        save(path, {"a": torch.ones(2)}, {"model": "toy", "note": "x" * padding})
        if int.from_bytes(path.read_bytes()[:8], "little") == length:
            break
    assert path.read_bytes()[:2] == length.to_bytes(2, "little")
    assert read(path)[1]["model"] == "toy"


def test_a_card_must_name_its_model(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="model"):
        save(tmp_path / "w.safetensors", {}, {"seed": 1})
    assert not list(tmp_path.iterdir())


def good() -> bytes:
    from safetensors.torch import save as to_bytes

    return to_bytes({"a": torch.ones(100)}, metadata={"card": json.dumps({"model": "spd"})})


def with_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors"),
        (b"hello, world", "not a safetensors"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"PK\x03\x04" + bytes(100), "pickle"),
        (good()[:-1], "truncated"),
        (good()[:40], "truncated"),
        (good() + b"x", "damaged"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "header claims"),
        (with_header(b"{" + b" " * MAX_HEADER + b"}"), "header claims"),
        (with_header(b"{" + b'"a":{' * 50_000), "damaged"),
        (with_header(b"{}"), "no card"),
        (with_header(b'{"__metadata__":{"card":"{"}}'), "no card"),
        (with_header(b'{"__metadata__":{"card":"' + b"[" * 100_000 + b'"}}'), "no card"),
        (with_header(b'{"__metadata__":{"card":"[]"}}'), "names no model"),
        (with_header(b'{"a":{"dtype":"F32","shape":[9000000000],"data_offsets":[0,36000000000]}}'), "damaged"),
    ],
)
def test_what_is_no_weights_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not found"):
        read(tmp_path / "none.safetensors")
    with pytest.raises(ReadError, match="not a file"):
        read(tmp_path)


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save(path, {}, {"model": "deburr"})
    with pytest.raises(ReadError, match="weights of model 'deburr', not 'spd'"):
        read(path, model="spd")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save(path, {"a": torch.tensor([1.0, float("nan")])}, {"model": "spd"})
    with pytest.raises(ReadError, match="'a' holds NaN"):
        read(path)


def test_tensors_must_fit_the_network() -> None:
    layer = torch.nn.Linear(2, 3)
    with pytest.raises(ReadError, match=r"missing bias; extra other; of another shape weight"):
        fit("w", layer, {"weight": torch.zeros(2, 3), "other": torch.zeros(1)})


def published() -> dict[str, torch.Tensor]:
    """Random tensors under the names and with the shapes of the published checkpoint."""
    torch.manual_seed(1)
    state: dict[str, torch.Tensor] = {}

    def put(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(*shape)
        state[f"{name}.bias"] = torch.randn(shape[0])

    for i in range(4):
        put(f"feature_net.transforms.{i}.linear", 24, 60 if i else 3)
        put(f"feature_net.convs.{i}.layer_first.linear", 12, 72 if i else 24)
        put(f"feature_net.convs.{i}.layers.0.linear", 12, 36)
        put(f"feature_net.convs.{i}.layer_last.linear", 12, 48)
    norms = ["score_net.bn_out"]
    put("score_net.conv_p", 128, 63, 1)
    put("score_net.conv_out", 3, 128, 1)
    for i in range(4):
        for name, width in (("fc_0", 128), ("fc_1", 128), ("fc_c", 63)):
            put(f"score_net.blocks.{i}.{name}", 128, width, 1)
        norms += [f"score_net.blocks.{i}.bn_0", f"score_net.blocks.{i}.bn_1"]
    for name in norms:
        put(name, 128)
        state[f"{name}.running_mean"], state[f"{name}.running_var"] = torch.randn(128), torch.rand(128)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return state


def write(path: Path, content: Any, new: bool = False) -> str:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return str(path)


@pytest.mark.parametrize("new", [False, True])
def test_a_published_checkpoint_is_imported(tmp_path: Path, new: bool) -> None:
    state = published()
    source = write(tmp_path / "c.pt", {"args": argparse.Namespace(seed=1), "state_dict": state, "others": {}}, new)
    target = str(tmp_path / "w.safetensors")
    card = import_checkpoint(source, target)
    tensors, read_card = read(target, model="spd")
    assert read_card == card
    assert card["source"] == "c.pt"
    fit(target, SpdNet(), tensors)
    assert torch.equal(tensors["score.blocks.2.norm_second.bias"], state["score_net.blocks.2.bn_1.bias"])
    assert torch.equal(tensors["score.blocks.1.second.weight"], state["score_net.blocks.1.fc_1.weight"][:, :, 0])
    assert torch.equal(tensors["features.convs.3.middle.weight"], state["feature_net.convs.3.layers.0.linear.weight"])


def test_a_checkpoint_is_not_overwritten_by_its_import(tmp_path: Path) -> None:
    source = write(tmp_path / "c.pt", {"state_dict": published()})
    (tmp_path / "link.pt").symlink_to(source)
    before = Path(source).read_bytes()
    for target in (source, str(tmp_path / "link.pt")):
        with pytest.raises(WriteError, match="is the checkpoint itself"):
            import_checkpoint(source, target)
    assert Path(source).read_bytes() == before


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new", [False, True])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, new: bool) -> None:
    trap = tmp_path / "trap"
    source = write(tmp_path / "c.pt", {"state_dict": published(), "args": Evil(str(trap))}, new)
    with pytest.raises(ReadError, match="code to run"):
        import_checkpoint(source, str(tmp_path / "w.safetensors"))
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Evil(str(trap))))
    with pytest.raises(ReadError, match="unsupported checkpoint"):
        import_checkpoint(str(plain), str(tmp_path / "w.safetensors"))
    assert not trap.exists()
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(("version", "safe"), [("2.5.1+cpu", False), ("2.9.1", False), ("2.10.0+cpu", True)])
def test_no_pickle_is_read_by_a_torch_that_may_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, safe: bool
) -> None:
    source = write(tmp_path / "c.pt", {"state_dict": published()})
    monkeypatch.setattr(torch, "__version__", TorchVersion(version))
    opened: list[object] = []

    def load(path: object, **_: object) -> object:
        opened.append(path)
        raise RuntimeError("not read")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(ReadError, match="cannot be read" if safe else r"install torch 2\.10 or later"):
        import_checkpoint(source, str(tmp_path / "w.safetensors"))
    assert len(opened) == safe
    if not safe:
        with pytest.raises(ReadError, match=f"m.ckpt: is a pickle, in which torch {version[:3]}"):
            check_torch("m.ckpt")
        with pytest.raises(ReadError, match=r"run\.ckpt: is a pickle"):
            read_state(tmp_path / "run.ckpt", {}, torch.device("cpu"))
        assert not opened


def test_unsupported_checkpoints_are_named(tmp_path: Path) -> None:
    target = str(tmp_path / "w.safetensors")
    state = published()
    del state["score_net.conv_p.bias"]
    state["encoder.weight"] = torch.zeros(1)
    cases: list[tuple[str, str]] = [
        (write(tmp_path / "a.pt", {"state_dict": state}), "missing score_net.conv_p.bias; extra encoder.weight"),
        (write(tmp_path / "b.pt", {"weights": state}), "missing 'state_dict'"),
        (write(tmp_path / "c.pt", [1, 2]), "missing 'state_dict'"),
        (str(tmp_path / "none.pt"), "not found"),
        (str(tmp_path), "not found"),
    ]
    for name, content in (("e.pt", b""), ("t.pt", b"not a pickle"), ("d.pt", (tmp_path / "a.pt").read_bytes()[:5000])):
        (tmp_path / name).write_bytes(content)
        cases.append((str(tmp_path / name), "unsupported checkpoint"))
    for source, message in cases:
        with pytest.raises(ReadError, match=message) as caught:
            import_checkpoint(source, target)
        assert "\n" not in str(caught.value)
    assert not Path(target).exists()
