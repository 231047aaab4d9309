"""The dispatcher: decisions into notices, notices into messages, and every end into a fact."""
