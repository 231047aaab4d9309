"""What is said when the broker cannot run."""


class BrokerError(Exception):
    """The broker cannot run; the message is a sentence for whoever started it."""


class PortTakenError(BrokerError):
    """The port is taken: worth another try when it was ours to choose."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken by another program: stop it or choose another port")
