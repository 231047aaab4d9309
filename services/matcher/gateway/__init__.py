"""The gateway: takes single events and batches, gathers them into intake messages, answers from the journal."""
