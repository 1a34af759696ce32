"""Faults of the device."""
