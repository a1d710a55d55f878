"""Doors of other programs."""
