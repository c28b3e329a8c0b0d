"""Sigma rules, run over whole columns.

`load` reads files (`parse`, with pySigma; `cache` knows them again) into trees (`tree`, made by pySigma's `Backend` in
`backend`, which also gives Polars expressions to those who use pySigma themselves), `plan` binds a tree to the
event types that its log source stands for (`logsource`, `names`, `derived`), and a `pack` evaluates all rules of a run
together: one pass over each event type, all literals looked up at once (`columns`, `literals`, `engine`).
`correlate` puts what rules matched together, in windows of time (`windows`).
"""
