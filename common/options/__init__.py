"""What a client may ask of a transcription, and what a model can do."""
