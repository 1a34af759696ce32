"""Fetches the audio of a job: its link into storage, and stored audio into a local file."""
