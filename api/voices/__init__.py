"""Known voices: people enrolled from transcripts, whom later transcripts name."""
