"""The HTTP API. It stores and reads jobs; recognition runs elsewhere."""
