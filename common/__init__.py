"""What the API and the workers share: the job rules, the rows, the queue and the settings."""
