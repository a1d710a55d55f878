"""Points on disk while a batch works: unpacked inputs, results of tiles, and the room for them."""
