"""The default model: what it sees, its two networks, and how points climb. This module imports no torch."""

from pathlib import Path

#: The weights that come with deburr.
BUNDLED = Path(__file__).with_name("deburr.safetensors")
