"""The deployment: embedded broker, users, permissions, streams, command line."""
