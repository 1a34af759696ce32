"""Operator commands: API keys, workers, stuck jobs, and the health of an installation."""
