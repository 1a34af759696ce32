"""Summaries of transcripts, and the templates of tenants for them."""
