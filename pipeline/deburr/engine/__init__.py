"""Runs many small tasks of JSON values: here, in other processes, on a cluster. Knows nothing of points."""
