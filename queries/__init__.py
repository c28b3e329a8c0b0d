"""One module per hunt: its file name is its id, its docstring its documentation."""
