"""The light worker: the sweep, webhooks and renditions. Does not import torch."""
