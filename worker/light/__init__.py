"""The light worker: the sweep, webhooks, renditions. Imports no torch."""
