"""Monitoring for operators: queue statistics, stuck jobs."""
