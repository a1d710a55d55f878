"""PCD, the format of the Point Cloud Library: the header, and points in each of its encodings."""
