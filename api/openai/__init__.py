"""OpenAI-compatible calls."""
