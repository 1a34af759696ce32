"""The Celery side: workers that transcribe, and a light worker that keeps things tidy."""
