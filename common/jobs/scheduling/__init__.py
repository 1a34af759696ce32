"""Which job runs next, and where."""
