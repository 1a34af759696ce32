"""The transcription worker: claims jobs, runs the engine, commits parts."""
