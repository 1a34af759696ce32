"""Resumable and presigned uploads."""
