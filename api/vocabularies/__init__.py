"""Vocabularies: hotwords and masked words that many transcriptions share."""
