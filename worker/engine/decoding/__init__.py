"""Decodes a file to audio on the recording's own clock, in a sandboxed child process.

The parent needs only `process.py`, which starts the child, and `messages.py`, the protocol between the two. All
other modules run in the child. Data from a file reaches the parent only as validated fields of a message.
"""

# Incremented with each change that may alter a sample: earlier parts can then not be continued.
DECODING_VERSION = 2
