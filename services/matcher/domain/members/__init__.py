"""Members: what they chose, who may invite whom, and the limits they set themselves (RULES.md section 8.1)."""
