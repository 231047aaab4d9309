"""Who is told what: pure, and the same for ever for the same entry of the same rules."""
