"""One module per evidence format, found by what it offers as `PARSER`; helpers lie beside them."""
