"""`python -m tests.other_host PID_FILE MODULE ARGUMENTS...`: runs a module as if on another host; exit code 77: it may not.

A host is known by its name: the process has a UTS namespace with a name of its own.
"""

import ctypes
import os
import runpy
import socket
import sys
from pathlib import Path

NOT_ALLOWED = 77
_CLONE_NEWUTS = 0x04000000  # https://man7.org/linux/man-pages/man2/unshare.2.html

if __name__ == "__main__":
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUTS):
        sys.exit(NOT_ALLOWED)
    socket.sethostname("host-a")
    written = Path(f"{sys.argv[1]}.new")
    written.write_text(str(os.getpid()))
    written.rename(sys.argv[1])
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
