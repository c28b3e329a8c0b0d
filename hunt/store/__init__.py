"""The case store: evidence decoded once, kept as plain Parquet. docs/case.md describes what lies where."""
