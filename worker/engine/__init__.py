"""Audio to sentences: pure computation, usable without the queue and the database."""

import os

# torch reads all of these when it is imported.
# Waiting threads of an operation sleep instead of spinning for a millisecond: decoding, VAD and other processes need
# the cores (6 times faster on two busy cores).
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# oneDNN caches a primitive for each number of rows, by default 1024 in each of two caches. Packed batches have another
# number of rows each time: the caches grew to a gigabyte in ten hours without a gain in speed.
os.environ.setdefault("LRU_CACHE_CAPACITY", "32")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
