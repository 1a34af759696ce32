"""Generic HTTP: errors, bodies, headers, metrics. Knows nothing about resources."""
