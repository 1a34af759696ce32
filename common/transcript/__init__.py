"""Transcripts: their values and output formats."""
