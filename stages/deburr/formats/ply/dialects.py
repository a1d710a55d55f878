"""What programs call the properties of a PLY's vertices, and which of PDAL's dimensions these are.

Case and what stands between letters and digits do not matter: ``scalar_Return_Number`` is ``returnnumber``. PDAL's own
names need no row; names that are in no row stay as they are (``quality``, ``radius`` and ``flags`` of MeshLab,
``confidence`` of Metashape and of phones, ``label`` of Open3D, ``opacity``, ``f_dc_0``, ``rot_0`` of Gaussian splats).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: PDAL's dimensions.
_PDAL = """
    W Intensity Amplitude Reflectance ReturnNumber NumberOfReturns ScanDirectionFlag EdgeOfFlightLine
    Classification ScanAngleRank UserData PointSourceId Red Green Blue GpsTime InternalTime OffsetTime IsPpsLocked
    StartPulse ReflectedPulse Pdop Pitch Roll PulseWidth Deviation PassiveSignal BackgroundRadiation PassiveX
    PassiveY PassiveZ XVelocity YVelocity ZVelocity Azimuth WanderAngle XBodyAccel YBodyAccel ZBodyAccel
    XBodyAngRate YBodyAngRate ZBodyAngRate Flag Mark Alpha EchoRange ScanChannel Infrared HeightAboveGround
    ClassFlags LvisLfid ShotNumber LongitudeCentroid LatitudeCentroid ElevationCentroid LongitudeLow LatitudeLow
    ElevationLow LongitudeHigh LatitudeHigh ElevationHigh PointId OriginId NormalX NormalY NormalZ Curvature
    Density ClusterID NNDistance TextureU TextureV TextureW Linearity Planarity Scattering Verticality
    Omnivariance Anisotropy Eigenentropy EigenvalueSum SurfaceVariation DemantkeVerticality OptimalKNN
    OptimalRadius Synthetic KeyPoint Withheld Overlap Coplanar PlaneFit Reciprocity Rank Miniball RadialDensity
    LocalReachabilityDistance LocalOutlierFactor Eigenvalue0 Eigenvalue1 Eigenvalue2
""".split()  # noqa: SIM905  # a hundred names in a few lines

#: The programs that write a name, the name (any ``scalar_`` before it is CloudCompare's), and its dimension.
_ROWS = (
    ("PDAL, CloudCompare, MeshLab, Metashape, RealityCapture, Pix4D, Open3D, phones, splats", "nx", "NormalX"),
    ("PDAL, CloudCompare, MeshLab, Metashape, RealityCapture, Pix4D, Open3D, phones, splats", "ny", "NormalY"),
    ("PDAL, CloudCompare, MeshLab, Metashape, RealityCapture, Pix4D, Open3D, phones, splats", "nz", "NormalZ"),
    ("PDAL, CloudCompare 2.13", "scanangle", "ScanAngleRank"),
    ("PDAL, CloudCompare 2.13", "nearinfrared", "Infrared"),
    ("PMVS, VisualSFM, old MeshLab", "diffuse_red", "Red"),
    ("PMVS, VisualSFM, old MeshLab", "diffuse_green", "Green"),
    ("PMVS, VisualSFM, old MeshLab", "diffuse_blue", "Blue"),
    ("Metashape, Pix4D", "class", "Classification"),
    ("CloudCompare to 2.12", "[Classif]_Value", "Classification"),
    ("CloudCompare to 2.12", "[Classif]_Synthetic_flag", "Synthetic"),
    ("CloudCompare to 2.12", "[Classif]_Key-point_flag", "KeyPoint"),
    ("CloudCompare to 2.12", "[Classif]_Withheld_flag", "Withheld"),
    ("CloudCompare to 2.12", "[Classif]_Overlap_flag", "Overlap"),
    ("CloudCompare 2.13", "Synthetic_Flag", "Synthetic"),
    ("CloudCompare 2.13", "Keypoint_Flag", "KeyPoint"),
    ("CloudCompare 2.13", "Withheld_Flag", "Withheld"),
    ("CloudCompare 2.13", "Overlap_Flag", "Overlap"),
    ("CloudCompare 2.13", "Scanner_Channel", "ScanChannel"),
)

#: CloudCompare writes its scalar fields with this before their names, and shows as such what it reads with it.
SCALAR = "scalar_"


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower()) or name


_KNOWN = {_bare(name): name for name in _PDAL} | {_bare(name): dim for _, name, dim in _ROWS}
#: The names that dimensions get in a file; of normals, those that all programs know.
_PROPERTIES = {name: name.lower() for name in _PDAL} | {"NormalX": "nx", "NormalY": "ny", "NormalZ": "nz"}
#: What CloudCompare does not take for a scalar field.
_NO_SCALARS = ("NormalX", "NormalY", "NormalZ", "Red", "Green", "Blue")


def is_scalar(name: str) -> bool:
    """Whether a property is named as CloudCompare's scalar fields are."""
    return name.lower().startswith(SCALAR)


def dimension(name: str) -> str | None:
    """PDAL's dimension that a property of this name is; None for one that is none of PDAL's."""
    return _KNOWN.get(_bare(name[len(SCALAR) :] if is_scalar(name) else name))


def dimensions(names: Iterable[str]) -> dict[str, str]:
    """The dimension of each property: PDAL's, or its own name. Of several for one dimension, PDAL's spelling goes
    first, then the first; the others keep their names."""
    names = list(names)
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name.lower() not in _PROPERTIES.values()):
        known = dimension(name)
        taken = known is None or known in found.values() or (known != name and known in names)
        found[name] = name if taken else str(known)
    return {name: found[name] for name in names}


def pdal_name(dim: str) -> str:
    """What PDAL calls a dimension in a file."""
    return _PROPERTIES.get(dim, "_".join(dim.split()) or "unnamed")


def cloudcompare_name(dim: str) -> str:
    """What CloudCompare wants a dimension to be called, to see it."""
    name = "_".join(dim.split()) or "unnamed"
    return _PROPERTIES[dim] if dim in _NO_SCALARS else name if is_scalar(name) else SCALAR + name


def programs() -> Iterator[tuple[str, str, str]]:
    """The rows of the table: programs, their name, PDAL's dimension."""
    yield from _ROWS
