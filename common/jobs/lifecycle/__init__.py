"""The job lifecycle, from submission to deletion."""
