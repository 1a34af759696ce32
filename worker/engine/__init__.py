"""Audio to sentences: pure computation, usable without the queue and the database."""

import os

# All of these are read when torch is imported.
# Threads of an operation that wait for each other sleep soon instead of spinning for a millisecond: decoding,
# VAD and other processes need the cores (on two busy cores 6 times faster).
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# Products prepared for a number of rows are kept for the next time, up to 1024 of them in each of two caches. A batch
# without padding has another number every time: in ten hours that came to a gigabyte, and made nothing faster.
os.environ.setdefault("LRU_CACHE_CAPACITY", "32")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
