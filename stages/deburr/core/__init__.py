"""What every stage shares: cloud, stage, registry, errors, neighbours, progress. Imports nothing above itself."""
