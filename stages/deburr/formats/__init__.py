"""What a reader and a writer of one format share."""
