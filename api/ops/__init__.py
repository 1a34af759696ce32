"""Routes for operators and browsers: health, metrics, documentation, the console's files."""
