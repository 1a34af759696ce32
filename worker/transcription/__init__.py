"""The transcription worker: takes jobs, runs the engine, commits parts."""
