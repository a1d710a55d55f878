"""Weights on disk: safetensors with a card, the JSON record of where they come from. Nothing in them is executed."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deburr.core.errors import ReadError, WriteError
from deburr.core.files import replacing

Card = dict[str, Any]

#: The header of a safetensors file lists its tensors; ours have a few kilobytes of it.
MAX_HEADER = 1 << 20
REMEDY = "give a .safetensors file of deburr"
#: Before this version of torch, a pickle could run code although only weights were asked for: CVE-2025-32434 (before
#: 2.6) and CVE-2026-24747 (before 2.10).
SAFE_TORCH = "2.10"


def save(path: str | Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write ``tensors`` and ``card`` (JSON values; ``model`` names the network) to ``path``, completely or not at all.

    Raises `deburr.core.errors.WriteError`.
    """
    from safetensors.torch import save as to_bytes

    if "model" not in card:
        raise WriteError(f"{path}: the card names no model; add card['model']")
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = to_bytes(ready, metadata={"card": json.dumps(card, sort_keys=True)})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read(path: str | Path, model: str | None = None) -> tuple[dict[str, Tensor], Card]:
    """The tensors and the card in ``path``; all values are finite.

    With ``model``, weights of another model are refused. Raises `deburr.core.errors.ReadError`.
    """
    from safetensors import SafetensorError, safe_open

    _check_header(Path(path))
    try:
        with safe_open(path, framework="pt") as file:
            card = _card(path, file.metadata() or {})
            if model is not None and card["model"] != model:
                raise ReadError(f"{path}: weights of model '{card['model']}', not '{model}'; {REMEDY} for '{model}'")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise ReadError(f"{path}: damaged or truncated weights ({error}); {REMEDY} in full") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ReadError(f"{path}: tensor '{name}' holds NaN or infinite values; {REMEDY} that is sound")
    return tensors, card


def fit(path: str | Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load ``tensors`` into ``module``; names and shapes must agree. Raises `deburr.core.errors.ReadError`."""
    wanted = module.state_dict()
    problems = _differences({k: tuple(v.shape) for k, v in wanted.items()}, tensors)
    if problems:
        raise ReadError(f"{path}: these weights do not fit the network: {problems}; {REMEDY} for this model")
    module.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()})


def import_checkpoint(source: str, target: str) -> Card:
    """Write the published SPD checkpoint ``source`` (a torch pickle) as weights for model ``spd``; returns the card.

    Only tensors, plain containers and `argparse.Namespace` are unpickled; whatever else a pickle names is refused
    before it runs. Raises `deburr.core.errors.ReadError` or `WriteError`.
    """
    from deburr.nn.spd.network import SpdNet

    if Path(source).resolve() == Path(target).resolve():
        raise WriteError(f"{target}: is the checkpoint itself; choose another output, the checkpoint is kept")
    state = _checkpoint(Path(source))
    wanted = {_published_name(name): tensor for name, tensor in SpdNet().state_dict().items()}
    problems = _differences({name: tuple(tensor.shape) for name, tensor in wanted.items()}, state, singletons=True)
    if problems:
        raise ReadError(
            f"{source}: unsupported checkpoint: {problems}; "
            "give the checkpoint published with 'Score-Based Point Cloud Denoising' (ICCV 2021)"
        )
    names = {name: _published_name(name) for name in SpdNet().state_dict()}
    card: Card = {
        "model": "spd",
        "origin": "imported from a checkpoint of Luo & Hu, 'Score-Based Point Cloud Denoising', ICCV 2021",
        "licence": "that of the checkpoint",
        "source": Path(source).name,
        "source_sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest(),
    }
    tensors = {ours: state[theirs].reshape(wanted[theirs].shape) for ours, theirs in names.items()}
    save(target, tensors, card)
    return card


def _check_header(path: Path) -> None:
    """Refuse, before any library sees it, what is no safetensors file."""
    if not path.exists():
        raise ReadError(f"{path}: weights not found; check the path")
    if not path.is_file():
        raise ReadError(f"{path}: not a file; {REMEDY}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    # A header of 640 bytes begins as a pickle does: what follows its length tells them apart.
    if start[8:] != b"{" and start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ReadError(
            f"{path}: a torch checkpoint (pickle), not safetensors; "
            "convert the published SPD checkpoint with 'pipeline weights import'"
        )
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{":
        raise ReadError(f"{path}: not a safetensors file; {REMEDY}")
    if length > MAX_HEADER:
        raise ReadError(f"{path}: its header claims {length} bytes (at most {MAX_HEADER}); {REMEDY}")
    if length + 8 > size:
        raise ReadError(f"{path}: truncated, the header of {length} bytes does not fit {size} bytes; {REMEDY} in full")


def _card(path: str | Path, metadata: Mapping[str, str]) -> Card:
    try:
        card = json.loads(metadata["card"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ReadError(f"{path}: holds no card of deburr; {REMEDY}") from error
    if not isinstance(card, dict) or not isinstance(card.get("model"), str):
        raise ReadError(f"{path}: its card names no model; {REMEDY}")
    return card


def _differences(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, Tensor], singletons: bool = False) -> str:
    """What is missing, extra or of another shape, in words; empty if all is well.

    With ``singletons``, trailing dimensions of one do not count (a 1x1 convolution is a matrix).
    """

    def some(title: str, names: list[str]) -> list[str]:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return [f"{title} {', '.join(names[:3])}{more}"] if names else []

    def shape(tensor: Tensor) -> tuple[int, ...]:
        full = tuple(tensor.shape)
        return full[:2] if singletons and len(full) == 3 and full[2] == 1 else full

    other = [name for name in sorted(wanted.keys() & found.keys()) if shape(found[name]) != wanted[name]]
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    return "; ".join(some("missing", missing) + some("extra", extra) + some("of another shape", other))


def check_torch(path: str | Path) -> None:
    """Refuse to unpickle ``path`` by a torch that might run what is in it. Raises `deburr.core.errors.ReadError`."""
    if torch.__version__ < SAFE_TORCH:
        raise ReadError(
            f"{path}: is a pickle, in which torch {torch.__version__} may run code (CVE-2025-32434, CVE-2026-24747); "
            f"install torch {SAFE_TORCH} or later first"
        )


def _checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dictionary in a torch pickle."""
    if not path.is_file():
        raise ReadError(f"{path}: checkpoint not found; check the path")
    check_torch(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can raise nearly any error from inside torch; none of them is ours to let through.
    except Exception as error:
        refused = "unsupported" in str(error).lower() or "weights_only" in str(error).lower()
        reason = "it names code to run, which is refused" if refused else f"it cannot be read ({type(error).__name__})"
        raise ReadError(f"{path}: unsupported checkpoint: {reason}; give the published SPD checkpoint") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ReadError(f"{path}: unsupported checkpoint: missing 'state_dict'; give the published SPD checkpoint")
    return {str(name): tensor for name, tensor in state.items()}


def _published_name(name: str) -> str:
    """Our name of a parameter -> its name in the published checkpoint."""
    part, _, rest = name.partition(".")
    pairs = {
        "features": (("first.", "layer_first."), ("middle.", "layers.0."), ("last.", "layer_last.")),
        "score": (
            ("first.", "fc_0."), ("second.", "fc_1."), ("condition.", "fc_c."),
            ("norm_fc_0.", "bn_0."), ("norm_fc_1.", "bn_1."), ("norm.", "bn_out."),
            ("entry.", "conv_p."), ("exit.", "conv_out."),
        ),
    }  # fmt: skip
    for ours, theirs in pairs[part]:
        rest = rest.replace(ours, theirs)
    if part == "features":
        head, _, leaf = rest.rpartition(".")
        return f"feature_net.{head}.linear.{leaf}"
    return f"score_net.{rest}"
