"""Files that are no JSON lines: written from native rows, and read back to be scanned."""
