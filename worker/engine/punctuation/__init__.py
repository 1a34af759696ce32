"""Punctuation for an endless stream of words."""
