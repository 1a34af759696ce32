"""Punctuation of an endless stream of words."""
