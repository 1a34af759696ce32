"""Makes the bundled demonstration models from synthetic Mandarin speech."""
