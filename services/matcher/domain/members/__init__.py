"""Members: what they chose, who may invite whom, and the limits they set themselves (RULES.md sections 8 to 10)."""
