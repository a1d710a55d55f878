"""The networks, the samplers and the weights; the only room that knows torch (with deburr.train)."""
