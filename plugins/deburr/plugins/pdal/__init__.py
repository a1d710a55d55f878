"""PDAL's doors: our filters inside it, its stages among ours, its pipelines converted."""
