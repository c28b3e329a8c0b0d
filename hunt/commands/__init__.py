"""Commands: each module without a leading underscore offers one, as a function of its own name.

They are imported when they are asked for; what is heavy (Polars, rich) only once a command runs.
"""
