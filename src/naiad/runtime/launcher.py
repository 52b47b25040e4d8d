"""``launcher.py SOCKET -m MODULE ...``: run a module as a fork of a `naiad.runtime.preloaded`.

It takes the place of ``python`` and imports nothing that takes time. The fork has its working
directory, environment and descriptors 0 to 7, and gets its signals; it ends when the fork does,
with the same status, and the fork ends if it does.
"""

import json
import os
import signal
import socket
import sys

_DESCRIPTORS = 8
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


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
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until the fork's number is known
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        folder, name = os.path.split(address)
        # By way of its folder: a socket's path may have 107 characters.
        connection.connect(f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{name}")
        request = {"argv": command, "cwd": f"/proc/{os.getpid()}/cwd", "environ": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(request).encode()], given)
        for fd in given[3:]:
            os.close(fd)  # their other ends must see when the fork ends
        pid = int(connection.recv(16) or sys.exit(1))
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _: os.kill(pid, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        status = int(connection.recv(16) or 1)
    if status < 0 and -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
