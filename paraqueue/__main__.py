"""`python -m paraqueue` is the `paraqueue` command."""

from paraqueue.cli.app import main

main()
