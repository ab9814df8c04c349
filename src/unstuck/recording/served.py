"""A process that has imported torch and starts recording processes by fork: each is ready at once.

Importing torch takes longer than many scripts run. The server computes nothing itself, so it has no thread pool that a
fork would break, and ends with the other end of its socket. Each request is one message: the terms of containment
(JSON), and five files: stdin, stdout, stderr, and the two pipes of the terms. The answer is the id of the process.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import sys
from contextlib import suppress

LONGEST = 65536
"""Bytes of a request."""
FILES = 5


def served(number: int) -> str:
    """Serve requests at a socket. Returns in each process that was started, with its terms; the server never does."""
    with socket.socket(fileno=number) as requests:
        signal.signal(signal.SIGCHLD, _reap)
        gc.freeze()  # a collection in a fork would copy every page that holds an object
        requests.send(b"\n")
        while True:
            message, files, _, _ = socket.recv_fds(requests, LONGEST, FILES)
            if not message:
                os._exit(0)
            child = os.fork()
            if not child:
                break
            for file in files:
                os.close(file)
            requests.send(b"%d\n" % child)
    return _begun(json.loads(message), files)


def _reap(*_: object) -> None:
    """Wait for those that have ended, so that they do not stay as zombies, and the system adds up their time."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _begun(terms: dict[str, object], files: list[int]) -> str:
    """The new process: a process group, files and random numbers of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    for place, file in enumerate(files[:3]):
        os.dup2(file, place)
        os.close(file)
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    return json.dumps({**terms, "alive": files[3], "tell": files[4]})
