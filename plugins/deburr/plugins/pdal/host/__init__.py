"""PDAL as a host of stages that deburr has not."""
