"""What people look at: summaries, sections, maps."""
