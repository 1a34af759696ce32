"""Who speaks when: embeddings of short windows, clustered once at the end of a recording.

`windows` cuts the speech, `campplus` turns windows into embeddings, `clustering` groups the embeddings of a whole
recording, and `turns` gives each word the speaker of its time.
"""
