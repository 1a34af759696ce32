"""Trains the bundled demonstration models on synthetic Mandarin speech."""
