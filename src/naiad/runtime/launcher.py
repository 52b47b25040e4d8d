"""``launcher.py SOCKET -m MODULE ...``: run a module as a fork of a `naiad.runtime.preloaded`.

It takes the place of ``python`` and imports nothing that takes time. The fork has its descriptors 0
to 7; it ends when the fork does, with the same status, and the fork ends if it does.
"""

import os
import signal
import socket
import sys

_DESCRIPTORS = 8


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def main() -> None:
    """Pass the command line and the descriptors on; wait for the status."""
    address, *command = sys.argv[1:]
    given = [fd for fd in range(_DESCRIPTORS) if _is_open(fd)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        folder, name = os.path.split(address)
        # By way of its folder: a socket's path may have 107 characters.
        connection.connect(f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{name}")
        socket.send_fds(connection, ["\0".join(command).encode()], given)
        for fd in given[3:]:
            os.close(fd)  # their other ends must see when the fork ends
        status = int(connection.recv(16) or 1)
    if status < 0 and -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
