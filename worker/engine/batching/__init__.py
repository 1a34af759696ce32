"""Batches across jobs: which segments are packed together, and how large a batch may be."""
