"""Small event logs of our own, the scenarios they are written from, and the EVTX writer that writes them."""
