"""From a file to sound on the recording's own clock, in a child process that can do nothing else.

`process.py` starts the child and is all that the parent needs, with `messages.py`, the language between the two. All
other modules run in the child. Nothing that a file says reaches the parent but as a checked field of a message.
"""

# Goes up with each change that may change a sample: parts made before cannot be continued then.
DECODING_VERSION = 1
