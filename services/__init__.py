"""The services: matcher, ledger, notifier, and the bus they share."""
