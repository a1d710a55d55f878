"""One pipeline over many files, or over one that is larger than memory."""
