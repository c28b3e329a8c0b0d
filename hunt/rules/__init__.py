"""Rules in files: Elastic's and ours in EQL, Sigma's; each becomes a `Hunt`, or a row of queries.csv that says why not.

`choose` takes what `-q` names, `load` finds the rule files and has them read by their formats (`hunt/eql/load.py`,
`hunt/sigma/load.py`), `matches` turns the events that a rule matched into findings.
"""
