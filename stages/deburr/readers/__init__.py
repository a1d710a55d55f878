"""Stages that begin a pipeline, one module a format."""
