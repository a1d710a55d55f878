"""Real tiles with 3 cm of noise added: `python benchmarks/lidar.py`. Distances in cm; the noise level is not told."""

from __future__ import annotations

import argparse

from protocol import guided_filter, local_plane, own_and_plane, real_tile

from deburr.nn.models import Settings, load

TILES = {"AHN3": "3dfier_ahn3_cropped_1.laz", "Lone Star": "pdal_lone-star.laz"}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="safetensors file of model deburr; default: the bundled")
    model = load("deburr", parser.parse_args().weights)
    print("own: RMS distance to the own clean place; plane: RMS distance to the clean local plane, where flat; cm")
    print(f"{'':<24}" + "".join(f"{tile + ' own':>16}{tile + ' plane':>18}" for tile in TILES))
    clouds = {tile: real_tile(name) for tile, name in TILES.items()}
    table = {
        "input": lambda p: p,
        "deburr": lambda p: model.denoise(p, Settings()).xyz,
        "local plane, k = 16": local_plane,
        "guided filter, k = 16": guided_filter,
    }
    for name, denoise in table.items():
        print(f"{name:<24}", end="", flush=True)
        for clean, x in clouds.values():
            own, plane = own_and_plane(clean, denoise(x))
            print(f"{100 * own:>16.2f}{100 * plane:>18.2f}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
