"""E57 (ASTM E2807): pages with checksums, the tree of what is in a file, and its records."""
