"""What an operator types: keys, workers, jobs that do not move, and whether an installation is sound."""
