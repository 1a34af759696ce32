"""Puts a job's hotwords where recognition wrote something that sounds or is spelled like them."""

from common.transcript.hotwords.correction import corrected, restored
from common.transcript.hotwords.entries import check_together, merged, parsed

__all__ = ["check_together", "corrected", "merged", "parsed", "restored"]
