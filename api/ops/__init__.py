"""What operators and browsers read: health, metrics, documentation, the console's files."""
