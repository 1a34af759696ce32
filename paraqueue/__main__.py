"""`python -m paraqueue` runs the `paraqueue` command."""

from paraqueue.cli.app import main

main()
