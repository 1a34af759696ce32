"""Audio to sentences: pure computation, usable without the queue and the database."""
