"""Reading and hunting on several processes or machines, by Dask distributed (extra `cluster`).

`connect` finds the workers and sees that they run what runs here; `lots` cuts evidence into tasks; `tasks` is what
workers do, nothing but functions of their arguments, so that a retry or a lost worker changes nothing; `gather` has it
done and gives `parts.Gathered`, whose events stay with the workers (`held`).
"""
