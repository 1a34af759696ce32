"""Batches: many links at once."""
