"""The all-in-one stack of `make run`: every server and process of Paraqueue on one machine, in one terminal."""
