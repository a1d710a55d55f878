"""What PDAL's filters.python runs."""
