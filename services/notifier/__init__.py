"""The notifier: results to members, outcomes to publishers."""
