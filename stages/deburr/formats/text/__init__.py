"""Text: tables of numbers as people and programs write them, with what stands between; their scans, and their bytes."""
