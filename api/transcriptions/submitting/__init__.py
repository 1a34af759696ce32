"""Submitting: read a request, check it against the installation, and create its jobs once."""
