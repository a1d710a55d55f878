"""What every stage shares: the cloud, the stage, errors, neighbours, progress. Imports nothing of deburr above itself."""
