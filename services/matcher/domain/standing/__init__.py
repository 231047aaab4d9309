"""Standing: what assists and orders give away about accounts, and what follows for their members."""
