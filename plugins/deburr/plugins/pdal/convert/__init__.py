"""The denoiser put into a PDAL pipeline."""
