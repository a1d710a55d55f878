"""Stages between reader and writer, one module each."""
