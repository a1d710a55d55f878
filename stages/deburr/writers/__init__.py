"""Stages that write, one module a format."""
