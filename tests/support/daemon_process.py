# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistored as its tests start it: a process on a store, with a service manager that listens."""

import os
import pathlib
import signal
import socket
import subprocess
import time

TIMEOUT_S = 30


def program() -> str:
    return os.path.join(os.environ["EFISTORE_BINARY_DIR"], "tools", "efistored")


def wait_until(condition, what: str):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {TIMEOUT_S} s for {what}")
        time.sleep(0.005)


def environment_for_daemon(more=None) -> dict:
    variables = {key: value for key, value in os.environ.items() if key != "EFISTORE"}
    # The sanitizer looks for leaks by tracing the process, which the daemon's filter forbids.
    sanitizer = variables.get("ASAN_OPTIONS", "")
    variables["ASAN_OPTIONS"] = f"{sanitizer}:detect_leaks=0" if sanitizer else "detect_leaks=0"
    return variables | (more or {})


class Daemon:
    """A daemon over `store` in `folder`, at the socket `folder`/NAME.sock unless told otherwise."""

    def __init__(self, folder, store="vars.fd", *options, name="daemon", socket_path=None,
                 environment=None, preexec=None, pass_fds=()):
        self.folder = pathlib.Path(folder)
        self.store = str(self.folder / store)
        self.socket = str(socket_path or self.folder / f"{name}.sock")
        self.options = options
        self.environment = environment or {}
        self.preexec = preexec
        self.pass_fds = pass_fds
        self.process = None
        self.notified = []  # what the service manager was told, one state after the other
        self._notify_path = self.folder / f"{name}.notify"
        self._log_path = self.folder / f"{name}.log"
        self._notify = None

    @property
    def locator(self) -> str:
        return f"unix:{self.socket}"

    def command(self) -> list:
        return [program(), "--store", self.store, "--socket", self.socket,
                *map(str, self.options)]

    def spawn(self):
        """Starts it and waits for nothing."""
        self.close()
        self._notify_path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._notify_path))
        os.chmod(self._notify_path, 0o777)
        self._notify.settimeout(0.05)
        self.notified = []
        # What it says goes to a file: a pipe nobody reads would stop it.
        with open(self._log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, pass_fds=self.pass_fds,
                preexec_fn=self.preexec, env=environment_for_daemon(
                    {"NOTIFY_SOCKET": str(self._notify_path)} | self.environment))
        return self

    def hear(self, wanted: str) -> bool:
        """Waits until the service manager was told `wanted`; no if the daemon ends before that."""
        end = time.monotonic() + TIMEOUT_S
        while not any(wanted in state for state in self.notified):
            try:
                self.notified.append(self._notify.recv(4096).decode())
            except TimeoutError:
                if self.process.poll() is not None:
                    return False
                if time.monotonic() > end:
                    raise AssertionError(f"no {wanted}: {self.notified}, {self.said()}") from None
        return True

    def start(self, writable=True):
        """Starts it and waits until it serves, and writes unless told otherwise."""
        self.spawn()
        if not self.hear("Reads and writes." if writable else "READY=1"):
            raise AssertionError(f"it ended with {self.process.returncode}: {self.said()}")
        return self

    def said(self) -> str:
        return self._log_path.read_text(encoding="utf-8")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def end(self) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._notify is not None:
            self._notify.close()
            self._notify = None
        self._notify_path.unlink(missing_ok=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
