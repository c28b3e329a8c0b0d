"""Files that hold files: one module a format, found by `hunt.registry`."""
