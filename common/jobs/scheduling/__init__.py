"""Scheduling: which job runs next, and where."""
