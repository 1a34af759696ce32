"""Batches across jobs: what is packed together, and how large a batch may be."""
