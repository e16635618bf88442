#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Ends the shim by a signal at random moments under load, many times: it must end with success,
leave no mount, and keep every write that it had answered.

EFISTORE_SEED repeats the moments, as far as a machine can; EFISTORE_ROUNDS makes it longer.
"""

import itertools
import os
import random
import signal
import struct
import sys
import threading
import time
import unittest

from conformance.files import CRASH, Files, payload
from shim_mount import Mount, mounted_type, require_fuse_and_root, require_program

ROUNDS = int(os.environ.get("EFISTORE_ROUNDS", "40"))
SEED = int(os.environ.get("EFISTORE_SEED", str(random.SystemRandom().randrange(1 << 32))))
LONGEST_LOAD_S = 0.1
# An end that only the next request brings about would take until this runs out.
END_TIMEOUT_S = 20
WRITERS = 2


def counted(number):
    return payload(struct.pack("<Q", number))


class Writer(threading.Thread):
    """Counts up in a variable until the file system is gone."""

    def __init__(self, path, first):
        super().__init__()
        self.path = path
        self.attempted = self.acknowledged = first
        self.start()

    def run(self):
        try:
            with open(self.path, "wb", buffering=0) as file:
                while True:
                    self.attempted += 1
                    file.write(counted(self.attempted))
                    self.acknowledged = self.attempted
        except OSError:
            pass


class Reader(threading.Thread):
    """Lists and reads everything until the file system is gone."""

    def __init__(self, root):
        super().__init__()
        self.root = root
        self.start()

    def run(self):
        try:
            while mounted_type(os.fsdecode(self.root)):
                for name in os.listdir(self.root):
                    with open(os.path.join(self.root, name), "rb", buffering=0) as file:
                        file.read(4096)
        except OSError:
            pass


class EndingTest(unittest.TestCase):
    def setUp(self):
        print(f"EFISTORE_SEED={SEED}", flush=True)
        self.moments = random.Random(SEED)
        self.mount = Mount()
        self.addCleanup(self.mount.close)
        self.files = Files(self.mount.path)

    def end(self):
        number = self.moments.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self.mount.process.send_signal(number)
        self.assertEqual(self.mount.process.wait(END_TIMEOUT_S), 0, self.mount.said())
        self.assertIsNone(mounted_type(self.mount.path))
        self.assertEqual(self.mount.said(), "")

    def value(self, path):
        with open(path, "rb", buffering=0) as file:
            return struct.unpack("<Q", file.read(4096)[4:])[0]

    def test_under_load(self):
        paths = [self.files.path(f"counter{i}", CRASH) for i in range(WRITERS)]
        values = [0] * WRITERS
        self.mount.start()
        for path in paths:
            self.files.create(path, counted(0))
        self.mount.unmount()
        for _ in range(ROUNDS):
            self.mount.start()
            writers = [Writer(path, value) for path, value in zip(paths, values)]
            reader = Reader(self.files.root)
            time.sleep(self.moments.uniform(0, LONGEST_LOAD_S))
            self.end()
            for thread in (*writers, reader):
                thread.join()

            self.mount.start("-o", "ro")
            for i, writer in enumerate(writers):
                values[i] = self.value(paths[i])
                # The last write may have been carried out without an answer.
                self.assertIn(values[i], (writer.acknowledged, writer.attempted))
            self.assertEqual(self.mount.unmount(), 0)
        self.assertGreater(sum(values), ROUNDS, "there was load")

    def test_idle(self):
        """Just started, or asleep in the read of a request that never comes."""
        for wait in itertools.islice(itertools.cycle((0, 0, 0.01)), ROUNDS):
            self.mount.start()
            time.sleep(self.moments.uniform(0, wait))
            self.end()


if __name__ == "__main__":
    require_fuse_and_root()
    require_program("fusermount3")
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
