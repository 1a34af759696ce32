"""Usage reports: transcribed audio and the resources it took."""
