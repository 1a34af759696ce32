"""The contenders: each runs in its own process, behind one protocol.

Nothing is imported here: the peers run in an environment without torch, ours in one without onnxruntime.
"""
