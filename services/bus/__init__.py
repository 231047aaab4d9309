"""The bus: what every service needs to talk to the broker."""
