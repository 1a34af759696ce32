"""`make bench-cluster`: many simulated workers and tenants on a real PostgreSQL and Valkey; no engine, no audio."""
