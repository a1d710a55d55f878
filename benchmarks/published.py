"""The published network beside ours on a few named clouds.

It takes ten seconds to a minute of processor time for 10,000 points, so its figures are kept in published.json with
the commit that made them: `python benchmarks/accuracy.py --published WEIGHTS` measures anew; `pipeline weights import`
makes WEIGHTS.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from protocol import DATA, Ours, centre_of, chamfer, head, line, noisy, own_and_plane, real_cloud, shapes

from deburr.core.arrays import Floats
from deburr.nn.contract import Settings
from deburr.nn.models import load

KEPT = Path(__file__).with_name("published.json")
#: Name of the cloud to the standard deviation of its noise.
CLOUDS = {"shape 1, 1 %": 0.01, "shape 1, 2 %": 0.02, "shape 1, 3 %": 0.03, "AHN3, 10,000 points": 0.03}


def cloud(name: str) -> tuple[Floats, Floats]:
    """The clean and the noisy cloud of a name in `CLOUDS`."""
    if name.startswith("AHN3"):
        clean = centre_of(real_cloud("3dfier_ahn3_cropped_1.laz"), 10_000)
    else:
        clean = next(shapes(10_000))[1]
    return clean, noisy(clean, CLOUDS[name])


def share(name: str, denoise: Callable[[Floats], Floats]) -> float:
    """Chamfer distance (AHN3: distance to the clean local planes) as a share of the noisy input's."""
    clean, x = cloud(name)
    if name.startswith("AHN3"):
        return own_and_plane(clean, denoise(x))[1] / own_and_plane(clean, x)[1]
    return chamfer(denoise(x), clean) / chamfer(x, clean)


def measure(weights: str) -> None:
    """Measure the network in ``weights`` on every cloud and keep the figures."""
    model = load("spd", weights)
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()
    clouds: dict[str, dict[str, float]] = {}
    for name in CLOUDS:
        begun = time.process_time()
        value = share(name, lambda p: model.denoise(p, Settings()).xyz)
        clouds[name] = {"share": round(value, 4), "processor_seconds": round(time.process_time() - begun, 1)}
    digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    kept = {"commit": commit, "weights_sha256": digest, "clouds": clouds}
    KEPT.write_text(json.dumps(kept, indent=2) + "\n")


def show(ours: Ours) -> None:
    """Print what is kept, and ours on the same clouds; nothing if nothing is kept or the clouds are not there."""
    if not KEPT.exists() or not DATA.is_dir():
        return
    kept = json.loads(KEPT.read_text())
    names = [name for name in CLOUDS if name in kept["clouds"]]
    head(
        f"\nshare of the input's (AHN3: distance to the planes); SPD kept from commit {kept['commit'][:12]}", names, 21
    )
    line("SPD as published", [kept["clouds"][name]["share"] for name in names], 21)
    line("deburr", [share(name, ours) for name in names], 21)
