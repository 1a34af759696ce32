"""The Celery side: workers that transcribe, and a light worker for maintenance tasks."""
