"""Paraformer's networks for a GPU: packed rows, 16-bit weights, few launches. They run on any device."""
