"""One tile and its proof: how the plane is cut, what is surveyed, what fits into memory, what is left of the noise."""
