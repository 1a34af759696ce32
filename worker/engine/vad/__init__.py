"""Voice activity detection: FSMN-VAD over a stream of any length."""
