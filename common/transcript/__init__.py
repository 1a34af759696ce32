"""A transcript: its values, and the forms it is written in."""
