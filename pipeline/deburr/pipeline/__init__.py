"""How stages are chosen, checked and run: `load` a spec, `run` it."""
