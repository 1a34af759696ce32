"""Paraformer: networks, predictor, tokens to timed words."""
