"""A load test: one tenant misbehaves in every way at once beside a well-behaved one. See `__main__`."""
