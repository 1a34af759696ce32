"""The OpenAI-compatible calls."""
