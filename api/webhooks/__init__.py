"""Webhook endpoints and the log of deliveries."""
