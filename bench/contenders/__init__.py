"""Who is measured: each contender in a process of its own, behind one protocol.

Nothing is imported here: the peers' processes run in an environment without torch, ours in one without onnxruntime.
"""
