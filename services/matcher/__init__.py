"""The matcher: reads the intake in order, decides, commits to the journal."""
