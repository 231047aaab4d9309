"""What publishers do: events of every family, plausible as a whole and wrong in places, sent by clients that retry."""
