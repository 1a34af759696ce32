"""What was transcribed, for whom, and what it took."""
