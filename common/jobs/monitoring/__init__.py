"""What operators watch: queue statistics, stuck jobs."""
