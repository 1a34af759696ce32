"""Code shared by the API and the workers: job rules, database rows, the queue and the settings."""
