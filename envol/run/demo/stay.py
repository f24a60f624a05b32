"""``python -m envol.run.demo.stay PID``: wait for the server of the demonstration, and end it when asked to end."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main(server: int) -> int:
    """The exit code of the server, our child by the exec that brought us here; as a shell says it after a signal."""

    def stop(number: int, frame: FrameType | None) -> None:
        os.kill(server, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    code = os.waitstatus_to_exitcode(os.waitpid(server, 0)[1])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
