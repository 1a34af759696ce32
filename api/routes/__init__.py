"""One module per resource. A route parses, calls one function of `common.jobs`, and returns."""
