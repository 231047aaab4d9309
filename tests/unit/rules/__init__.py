"""The rules, one test each: given, when, then."""
