"""Inverse text normalisation: spoken numbers in a text become digits."""

from common.transcript.itn.grammar import normalized

__all__ = ["normalized"]
