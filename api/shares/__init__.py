"""Share links: made by people who may, and used by visitors without a key."""
