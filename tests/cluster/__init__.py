"""A real cluster of three brokers with two copies of each service, and what goes wrong in one."""
