"""Connections to addresses supplied by clients."""
