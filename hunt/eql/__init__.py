"""EQL, the Event Query Language, over event logs.

`parser.py` reads a text into the nodes of `syntax.py`; `plan.py` says which event types could meet it and what is read
of them; `engine.py` evaluates many such plans together; `load.py` makes rule files into hunts. The meaning is
Elasticsearch's: https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax
"""
