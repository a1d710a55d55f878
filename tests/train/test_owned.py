"""A training run replaces what a training run has left, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import deburr.train
from deburr.core.errors import WriteError
from deburr.train.curves import Curves
from deburr.train.loop import Trainer
from deburr.train.owned import check_owned
from deburr.train.recipe import Recipe


@pytest.mark.parametrize("name", ["w.ckpt", "w.csv", "w.png"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89PNG\r\n"])
def test_files_of_other_programs_stay(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(Recipe(output=str(tmp_path / "w.safetensors"), minutes=1, solids=1).model_dump_json())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WriteError, match=rf"{name}: is not of a training run, and would be replaced; move it away"):
        deburr.train.run(str(path))
    assert (tmp_path / name).read_bytes() == content


def test_a_checkpoint_of_another_network_stays(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(2)}, "epoch": 3}, tmp_path / "w.ckpt")
    with pytest.raises(WriteError, match=r"w\.ckpt: is not of a training run"):
        check_owned(tmp_path / "w.ckpt", tmp_path / "w.csv")


def test_what_an_earlier_run_left_may_go(tmp_path: Path) -> None:
    recipe = Recipe(output=str(tmp_path / "w.safetensors"), minutes=1, solids=1, channels=16, layers=1, heads=2)
    Trainer(recipe).save(tmp_path / "w.ckpt", [])
    curves = Curves(tmp_path / "w.csv")
    curves.add(1, 2.0, 3, {"score": 0.5})
    curves.write()
    curves.draw()
    check_owned(tmp_path / "w.ckpt", tmp_path / "w.csv")
    check_owned(tmp_path / "new.ckpt", tmp_path / "new.csv")
