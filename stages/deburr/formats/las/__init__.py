"""LAS and LAZ: the header and its records, point layouts, chunks, systems of coordinates."""
