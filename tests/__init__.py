"""Tests, one folder per folder of the tree; `helpers` builds events in a line or two."""
