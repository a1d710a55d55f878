"""PLY: the header, and elements in each of its encodings."""
