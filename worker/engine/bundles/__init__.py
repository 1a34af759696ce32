"""Model bundles: definitions, downloads, and loading their files."""
