"""filters.restore: what filters.spd did with keep_original is undone, to the last bit, through files too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.filters.noise import Noise
from deburr.filters.outlier import Outlier
from deburr.filters.restore import Restore
from deburr.filters.spd import Spd
from deburr.pipeline import run
from deburr.readers.las import LasReader
from deburr.readers.ply import Ply as PlyReader
from deburr.writers.las import LasWriter
from deburr.writers.ply import Ply as PlyWriter

UTM = np.array([500_000.0, 5_400_000.0, 100.0])
KEEP = {"type": "filters.spd", "noise": 0.1, "keep_original": True}
NAMES = ["OriginalX", "OriginalY", "OriginalZ"]


def sheet(count: int = 500) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([rng.uniform(0, 10, count), rng.uniform(0, 10, count), rng.normal(0, 0.1, count)], axis=1) + UTM


def kept(**options: Any) -> PointCloud:
    cloud = PointCloud(sheet(), {"Intensity": np.arange(500, dtype=np.uint16)})
    return Spd(noise=0.1, keep_original=True, **options).run(cloud)


def test_the_input_is_kept_and_put_back() -> None:
    denoised = kept()
    assert denoised.moved.mean() > 0.9
    assert list(denoised.dims) == ["Intensity", *NAMES]
    assert np.stack([denoised.dims[name] for name in NAMES], axis=1).tobytes() == sheet().tobytes()
    back = Restore().run(denoised)
    assert back.xyz.tobytes() == sheet().tobytes()
    assert list(back.dims) == ["Intensity"]
    assert not back.moved.any()
    figures = back.history[-1].figures
    assert figures["points_moved_back"] == denoised.moved.sum()
    assert figures["displacement_max"] == np.linalg.norm(denoised.xyz - sheet(), axis=1).max()


def test_the_first_original_is_kept() -> None:
    """Also where the points were moved in between; and each keeps its own when others are removed."""
    twice = kept()
    twice = Noise(sigma=0.05).run(twice)
    twice = Outlier(multiplier=0.5, action="remove").run(twice)
    twice = Spd(noise=0.05, keep_original=True).run(twice)
    assert 100 < len(twice) < 500
    assert Restore().run(twice).xyz.tobytes() == sheet()[twice.rows].tobytes()


def test_what_is_kept_is_the_input_of_the_stage() -> None:
    noisy = Noise(sigma=0.05).run(PointCloud(sheet()))
    back = Restore().run(Spd(noise=0.1, keep_original=True).run(noisy))
    assert back.xyz.tobytes() == noisy.xyz.tobytes()


def test_points_too_few_to_denoise_can_be_restored_too() -> None:
    denoised = Spd(keep_original=True).run(PointCloud(sheet(5)))
    assert Restore().run(denoised).xyz.tobytes() == sheet(5).tobytes()


def test_other_dimensions_go_where_asked() -> None:
    denoised = kept(dimensions=["Displacement"])
    assert list(Restore().run(denoised).dims) == ["Intensity", "Displacement"]
    assert list(Restore(remove=["Displacement"]).run(denoised).dims) == ["Intensity"]
    with pytest.raises(RunError, match="no dimension 'Displacment'; did you mean 'Displacement'"):
        Restore(remove=["Displacment"]).run(denoised)


def test_a_cloud_without_them_is_refused() -> None:
    with pytest.raises(RunError, match=r'OriginalX or OriginalY or OriginalZ; only .* "keep_original": true'):
        Restore().run(PointCloud(sheet()))


@pytest.mark.parametrize("column", [np.zeros(500, np.float32), np.full(500, np.nan), np.zeros((500, 3))])
def test_dimensions_that_hold_no_coordinates_are_refused(column: Any) -> None:
    cloud = kept().with_dims({"OriginalY": column})
    for stage in (Restore(), Spd(noise=0.1, keep_original=True)):
        with pytest.raises(RunError, match="'OriginalY'"):
            stage.run(cloud)
    dims = {name: column for name, column in kept().dims.items() if name != "OriginalZ"}
    with pytest.raises(RunError, match="OriginalZ"):
        Spd(noise=0.1, keep_original=True).run(PointCloud(sheet(), dims))


def undone(path: Path, kind: str, spd: dict[str, Any] = KEEP) -> tuple[bytes, bytes]:
    """The bytes of ``path`` as deburr copies it, and of its denoised file (which differs) restored."""
    copy, denoised, restored = (path.with_name(f"{name}.{kind}") for name in ("copy", "denoised", "restored"))
    run([str(path), str(copy)])
    run([str(path), spd, str(denoised)])
    assert denoised.read_bytes() != copy.read_bytes()
    run([str(denoised), "filters.restore", str(restored)])
    return copy.read_bytes(), restored.read_bytes()


@pytest.mark.parametrize("kind", ["las", "laz"])
@pytest.mark.parametrize("number", [1, 6, 8])
def test_a_las_file_gets_its_bytes_back(tmp_path: Path, kind: str, number: int) -> None:
    rng = np.random.default_rng(2)
    dims: dict[str, Any] = {
        "Intensity": rng.integers(0, 65535, 500).astype(np.uint16),
        "GpsTime": rng.uniform(0, 1e9, 500),
        "Classification": np.where(np.arange(500) % 9, 2, 7).astype(np.uint8),
        "Amplitude": rng.normal(size=500).astype(np.float32),
        "Red": rng.integers(0, 65535, 500).astype(np.uint16),
    }
    path = tmp_path / f"in.{kind}"
    LasWriter(filename=str(path), dataformat_id=number, scale_x=0.001, scale_y=0.01, scale_z=0.001).write(
        PointCloud(sheet(), dims)
    )
    copy, restored = undone(path, kind)
    assert restored == copy


def test_a_las_file_without_extra_bytes_has_none_again(tmp_path: Path) -> None:
    path = tmp_path / "in.las"
    LasWriter(filename=str(path)).write(PointCloud(sheet()))
    copy, restored = undone(path, "las")
    assert restored == copy
    assert LasReader(filename=str(tmp_path / "denoised.las")).read().dims["OriginalX"].dtype == np.float64


@pytest.mark.parametrize("mode", ["ascii", "little endian", "big endian"])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_a_ply_file_gets_its_bytes_back(tmp_path: Path, mode: str, kind: str) -> None:
    path = tmp_path / "in.ply"
    xyz = sheet() - UTM
    header = "ply\nformat ascii 1.0\ncomment mine\nelement vertex 500\n"
    header += "".join(f"property {kind} {letter}\n" for letter in "xyz") + "property uchar red\nend_header\n"
    rows = [" ".join(str(np.float32(v) if kind == "float" else v) for v in row) + " 7" for row in xyz]
    path.write_text(header + "\n".join(rows) + "\n")
    first = PlyReader(filename=str(path)).read()
    PlyWriter.model_validate({"filename": str(path), "storage_mode": mode}).write(first)
    copy, restored = undone(path, "ply")
    assert restored == copy


@pytest.mark.alldata
@pytest.mark.parametrize(
    "name",
    ["pdal_4_6_crop.las", "pdal_extrabytes.las", "laspy_vegetation_1_3.las", "laspy_simple1_4.las",
     "ign_several_extra_bytes.laz", "pdal_autzen_trim.las", "3dfier_ahn3_cropped_2.laz"],
)  # fmt: skip
def test_real_files_get_their_points_back(data_dir: Path, tmp_path: Path, name: str) -> None:
    """Every byte of every point; of the header and records all but the record of extra bytes, which is written anew."""
    source = data_dir / "data" / "lidar" / name
    path = tmp_path / name
    cloud = LasReader(filename=str(source), count=20_000).read()
    LasWriter(filename=str(path)).write(cloud)
    spd = {**KEEP, "noise": float(np.ptp(cloud.xyz[:, 2])) / 100}
    undone(path, path.suffix[1:], spd)
    files = (str(path.with_name(name + path.suffix)) for name in ("copy", "denoised", "restored"))
    first, denoised, again = (LasReader(filename=file).read() for file in files)
    assert (first.xyz != denoised.xyz).any()
    one, two = first.source, again.source
    assert one.records.tobytes() == two.records.tobytes()  # type: ignore[attr-defined]  # a LasSource
    assert one.layout.dtype == two.layout.dtype  # type: ignore[attr-defined]
    assert first.xyz.tobytes() == again.xyz.tobytes()
    assert first.crs == again.crs
