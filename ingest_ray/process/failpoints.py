"""Named steps at which tests end the process, to prove that nothing is lost or doubled there.

`INGEST_FAILPOINT=name` kills the process with SIGKILL at the step `name`; `name@3`, at the third time.
With `INGEST_FAILPOINT_ONCE=/path`, only the first process at the step is killed: it leaves the file behind.
`INGEST_FAILPOINT_GROUP=1` kills the whole process group, as a power cut would. `INGEST_FAILPOINT_SIGNAL=SIGSTOP` suspends the process
instead of killing it.
"""

import os
import signal
import threading
from collections import Counter

_counts: Counter[str] = Counter()
_lock = threading.Lock()


def reached(name: str) -> None:
    wanted = os.environ.get("INGEST_FAILPOINT")
    if not wanted or wanted.partition("@")[0] != name:
        return
    with _lock:
        _counts[name] += 1
        if _counts[name] != int(wanted.partition("@")[2] or 1) or not _is_first():
            return
    sent = signal.Signals[os.environ.get("INGEST_FAILPOINT_SIGNAL", "SIGKILL")]
    if os.environ.get("INGEST_FAILPOINT_GROUP"):
        os.killpg(os.getpgid(0), sent)
    os.kill(os.getpid(), sent)


def _is_first() -> bool:
    marker = os.environ.get("INGEST_FAILPOINT_ONCE")
    if not marker:
        return True
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
