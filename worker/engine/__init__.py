"""Audio to sentences: pure computation, usable without the queue and the database."""

import os

# Threads of an operation that wait for each other sleep soon instead of spinning for a millisecond: decoding,
# VAD and other processes need the cores (on two busy cores 6 times faster). Read when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
