"""The console in a real browser, on a whole service: one of each for all tests of this directory."""
