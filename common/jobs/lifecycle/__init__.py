"""What happens to a job, from submit to deletion."""
