"""Training surfaces, noise, losses and the loop; only the command line imports it."""
