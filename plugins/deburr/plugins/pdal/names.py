"""The stages of PDAL 2.2 to 2.10 and its plugins by name: what can be said of them where PDAL is not installed."""

from __future__ import annotations

_NAMES = """
    filters.approximatecoplanar filters.assign filters.chipper filters.cluster filters.colorinterp
    filters.colorization filters.covariancefeatures filters.cpd filters.crop filters.csf filters.dbscan
    filters.decimation filters.delaunay filters.dem filters.divider filters.eigenvalues filters.elm
    filters.estimaterank filters.expression filters.expressionstats filters.faceraster filters.ferry filters.fps
    filters.georeference filters.gpstimeconvert filters.greedyprojection filters.griddecimation filters.groupby
    filters.h3 filters.hag_delaunay filters.hag_dem filters.hag_nn filters.head filters.hexbin filters.icp
    filters.info filters.iqr filters.julia filters.label_duplicates filters.litree filters.lloydkmeans
    filters.locate filters.lof filters.mad filters.matlab filters.merge filters.miniball filters.mongo
    filters.mortonorder filters.neighborclassifier filters.nndistance filters.normal filters.optimalneighborhood
    filters.outlier filters.overlay filters.planefit filters.pmf filters.pointviewfilter filters.poisson
    filters.projpipeline filters.python filters.radialdensity filters.randomize filters.range
    filters.reciprocity filters.relaxationdartthrowing filters.reprojection filters.returns filters.sample
    filters.separatescanline filters.shell filters.skewnessbalancing filters.smrf filters.sort
    filters.sparsesurface filters.splitter filters.stats filters.straighten filters.streamcallback
    filters.supervoxel filters.tail filters.teaser filters.trajectory filters.transformation
    filters.voxelcenternearestneighbor filters.voxelcentroidnearestneighbor filters.voxeldownsize
    filters.zsmooth readers.arrow readers.bpf readers.copc readers.draco readers.e57 readers.ept readers.faux
    readers.gdal readers.hdf readers.i3s readers.ilvis2 readers.las readers.matlab readers.mbio
    readers.memoryview readers.nitf readers.numpy readers.obj readers.optech readers.pcd readers.pgpointcloud
    readers.ply readers.pts readers.ptx readers.qfit readers.rdb readers.rxp readers.sbet readers.slpk
    readers.smrmsg readers.spz readers.stac readers.terrasolid readers.text readers.tiledb readers.tindex
    writers.arrow writers.bpf writers.copc writers.draco writers.e57 writers.ept_addon writers.fbx writers.gdal
    writers.gltf writers.las writers.matlab writers.nitf writers.null writers.ogr writers.pcd
    writers.pgpointcloud writers.ply writers.raster writers.sbet writers.spz writers.text writers.tiledb
"""
KNOWN = frozenset(_NAMES.split())
