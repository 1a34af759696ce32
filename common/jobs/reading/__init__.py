"""Reading, searching and correcting transcripts."""
