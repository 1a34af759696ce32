"""Decodes a file to audio on the recording's own clock, in a sandboxed child process.

`process` starts the child, through `forking` and the `fork_server`, and reads its `messages`. What runs in the child
is in `child/`. Data from a file reaches the parent only as validated fields of a message.
"""

# Incremented with each change that may alter a sample: earlier parts can then not be continued.
DECODING_VERSION = 2
