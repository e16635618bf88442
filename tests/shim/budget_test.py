#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Write budgets: who is over theirs waits, nobody else does, and nothing is lost.

Waits are so long that no test ends by one; where time is measured, it is only ever too short.
"""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

from conformance.files import CRASH, Files, attempt, attempt_call, payload
from daemon_test import DaemonTest
from shim_mount import START_TIMEOUT_S, require_fuse_and_root, require_program, wait_until

# What a record of counted() under the name "counterN" takes at least.
RECORD_SIZE = 60 + 18 + 8
# The third record overdraws this, and the fourth waits for ten minutes; for all vendors together
# there is four times as much.
SLOW = "budget=360,burst=200"
FREE_WRITES = 3


def counted(number):
    return payload(struct.pack("<Q", number))


class Writer(threading.Thread):
    """Counts up in a variable of its own, from 1 on, until a write fails or `writes` are done."""

    def __init__(self, path, writes=1000):
        super().__init__(daemon=True)
        self.path = path
        self.writes = writes
        self.attempted = self.acknowledged = 0
        self.error = None
        self.start()

    def run(self):
        try:
            with open(self.path, "wb", buffering=0) as file:
                while self.attempted < self.writes:
                    self.attempted += 1
                    file.write(counted(self.attempted))
                    self.acknowledged = self.attempted
        except OSError as error:
            self.error = error


class BudgetTest(DaemonTest):
    def start(self, options):
        self.shim = self.mount("-o", options)
        self.files = Files(self.shim.path)

    def counter(self, number=0):
        return self.files.path(f"counter{number}", CRASH)

    def value(self, path):
        with open(path, "rb", buffering=0) as file:
            return struct.unpack("<Q", file.read(4096)[4:])[0]

    def requests_under_way(self):
        """How many requests the kernel waits for, as fusectl tells."""
        control = os.path.join(self.shim.directory, "control")
        if not os.path.isdir(control):
            os.mkdir(control)
            subprocess.run(["mount", "-t", "fusectl", "fusectl", control], check=True)
            self.addCleanup(subprocess.run, ["umount", control], check=True)
        connection = os.minor(os.stat(self.shim.path).st_dev)
        with open(os.path.join(control, str(connection), "waiting"), encoding="ascii") as file:
            return int(file.read())

    def wait_for_waiting(self, count):
        """Until so many writes wait, in the shim rather than in front of it."""
        wait_until(lambda: self.requests_under_way() == count, f"{count} writes that wait")
        os.statvfs(self.shim.path)

    def run_away(self):
        writer = Writer(self.counter())
        wait_until(lambda: writer.attempted == FREE_WRITES + 1, "the burst to be used up")
        self.wait_for_waiting(1)
        return writer

    def end_by_signal(self):
        self.shim.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.shim.process.wait(START_TIMEOUT_S), 0, self.shim.said())
        self.assertEqual(self.shim.said(), "")

    def test_a_writer_that_runs_away_is_slowed(self):
        burst, bytes_a_second, writes = 1000, 1000, 30
        self.start(f"budget={bytes_a_second * 3600},burst={burst}")
        begin = time.monotonic()
        writer = Writer(self.counter(), writes)
        writer.join()
        elapsed = time.monotonic() - begin
        self.assertEqual(writer.acknowledged, writes)
        self.assertGreaterEqual(elapsed, ((writes - 1) * RECORD_SIZE - burst) / bytes_a_second)
        self.assertEqual(self.value(self.counter()), writes)

    def test_without_a_budget_nobody_is_slowed(self):
        for options in ("budget=0", "idle=30"):
            self.start(options)
            writer = Writer(self.counter(), 200)
            writer.join()
            self.assertEqual(writer.acknowledged, 200)
            self.shim.unmount()

    def test_all_else_goes_on_while_a_write_waits(self):
        self.start(SLOW)
        writer = self.run_away()
        self.assertEqual(self.value(self.counter()), FREE_WRITES)
        self.assertEqual(os.stat(self.counter()).st_size, 12)
        self.assertIn(os.path.basename(self.counter()), os.listdir(self.files.root))
        self.assertEqual(self.files.create(self.files.path("other"), payload()), "OK write=OK:5")
        self.assertEqual(self.files.content(self.files.path("other")), "5:0700000078")
        # The vendor's other files: what costs no record does not wait.
        self.assertEqual(self.files.try_open(self.counter(1), os.O_CREAT | os.O_RDWR), "OK")
        self.assertEqual((writer.attempted, writer.acknowledged), (FREE_WRITES + 1, FREE_WRITES))
        self.assertTrue(writer.is_alive())
        self.wait_for_waiting(1)

    def test_other_variables_of_the_vendor_wait_too_and_can_be_deleted(self):
        self.start(SLOW)
        other = self.files.path("other", CRASH)
        self.assertEqual(self.files.create(other, payload()), "OK write=OK:5")
        writers = [Writer(self.counter(i)) for i in range(5)]
        self.wait_for_waiting(5)
        self.assertEqual(sum(writer.acknowledged for writer in writers), FREE_WRITES - 1)
        os.unlink(other)
        self.assertFalse(os.path.exists(other))

    def test_at_the_end_all_that_waits_is_written(self):
        self.start(SLOW)
        count = 20
        writers = [Writer(self.counter(i)) for i in range(count)]
        self.wait_for_waiting(count)
        self.assertLessEqual(sum(writer.acknowledged for writer in writers), FREE_WRITES)
        self.end_by_signal()
        for writer in writers:
            writer.join()
            # The write that waited is acknowledged; the next one finds nobody.
            self.assertGreaterEqual(writer.acknowledged, 1)
            self.assertEqual(writer.attempted, writer.acknowledged + 1)
            self.assertIsNotNone(writer.error)
        self.shim.start("-o", "ro")
        for i, writer in enumerate(writers):
            self.assertEqual(self.value(self.counter(i)), writer.acknowledged)

    def test_a_forced_unmount_writes_what_waits(self):
        self.start(SLOW)
        writer = self.run_away()
        subprocess.run(["umount", "-f", "-l", self.shim.path], check=True)
        self.assertEqual(self.shim.process.wait(START_TIMEOUT_S), 0, self.shim.said())
        writer.join()
        self.assertEqual(writer.acknowledged, FREE_WRITES)
        self.shim.start("-o", "ro")
        self.assertEqual(self.value(self.counter()), FREE_WRITES + 1)

    def test_a_signal_ends_the_wait_and_nothing_is_written(self):
        self.start(SLOW)
        fd = os.open(self.counter(), os.O_CREAT | os.O_WRONLY)
        for number in range(1, FREE_WRITES + 1):
            self.assertEqual(attempt(os.write, fd, counted(number)), "OK:12")
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        # Again and again: the first may come before the write.
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        try:
            # Not os.write(), which would go on.
            result = attempt_call("write", fd, counted(99), 12)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(result, "EINTR")
        self.assertEqual(self.value(self.counter()), FREE_WRITES)
        os.close(fd)
        self.end_by_signal()
        self.shim.start("-o", "ro")
        self.assertEqual(self.value(self.counter()), FREE_WRITES)

    def test_who_waits_can_be_killed(self):
        self.start(SLOW)
        self.files.create(self.counter(), counted(1))
        script = ("import os, sys\n"
                  "fd = os.open(sys.argv[1], os.O_WRONLY)\n"
                  "while True: os.write(fd, b'\\7\\0\\0\\0' + os.urandom(8))\n")
        with subprocess.Popen([sys.executable, "-c", script, self.counter()]) as process:
            self.wait_for_waiting(1)
            process.kill()
            self.assertEqual(process.wait(START_TIMEOUT_S), -signal.SIGKILL)
        self.assertEqual(self.shim.unmount(), 0)


if __name__ == "__main__":
    require_fuse_and_root()
    require_program("fusermount3")
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
