"""SenseVoiceSmall: an encoder with a CTC head, for five languages, with tags for language, emotion and sounds."""
