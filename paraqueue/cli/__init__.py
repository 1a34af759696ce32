"""The `paraqueue` command."""
