"""Transcriptions: submit, read, follow, correct, search."""
