"""The default model: what it sees, its two networks, and how points climb."""
