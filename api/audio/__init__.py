"""The audio of a transcription, for players."""
