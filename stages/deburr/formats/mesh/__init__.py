"""Meshes: the corners of their faces from PLY, OBJ and STL files, and triangles from faces of any size."""
