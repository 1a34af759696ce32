"""HTTP itself: errors, bodies, headers, metrics. Knows no resource."""
