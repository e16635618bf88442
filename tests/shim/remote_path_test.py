#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A mount of a daemon's store: named by a relative path, alive when the daemon comes back."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

from daemon_process import environment_for_daemon
from shim_mount import (blank_image, mounted_type, program, require_fuse_and_root,
                        require_program, wait_until)

FILE = "Shared-11223344-5566-7788-99aa-bbccddeeff00"


class RemoteTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efivarfs-shim-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.mount_point = os.path.join(self.folder, "efivars")
        os.mkdir(self.mount_point)
        with open(os.path.join(self.folder, "vars.fd"), "wb") as file:
            file.write(blank_image())
        self.daemon = self.start_daemon()
        self.addCleanup(lambda: self.stop_daemon(signal.SIGTERM))

    def start_daemon(self):
        daemon = subprocess.Popen([os.environ["EFISTORED_COMMAND"], "--store", "vars.fd",
                                   "--socket", "mm.sock"], cwd=self.folder, env=environment_for_daemon())
        wait_until(lambda: self.command("get", FILE).returncode != 1 or
                   b"EFI_NOT_FOUND" in self.command("get", FILE).stderr, "the daemon")
        return daemon

    def stop_daemon(self, number):
        self.daemon.send_signal(number)
        self.daemon.wait(60)

    def command(self, *words):
        return subprocess.run([os.environ["EFISTORE_COMMAND"], "--store", "unix:mm.sock", *words],
                              cwd=self.folder, capture_output=True, timeout=60, check=False)

    def set_elsewhere(self, text):
        wait_until(lambda: self.command("set", FILE, "--text", text).returncode == 0, "a change")

    def content(self):
        with open(os.path.join(self.mount_point, FILE), "rb") as file:
            return file.read()[4:].decode()

    def test_a_relative_path_is_found_again(self):
        self.set_elsewhere("first")
        subprocess.run([program(), "--store", "unix:mm.sock", "efivars"], cwd=self.folder,
                       check=True, timeout=60, env=environment_for_daemon())
        self.addCleanup(lambda: mounted_type(self.mount_point) and
                        subprocess.run(["umount", "-l", self.mount_point], check=True))
        self.assertEqual(self.content(), "first")
        self.set_elsewhere("second")
        self.assertEqual(self.content(), "second")
        self.stop_daemon(signal.SIGKILL)
        self.daemon = self.start_daemon()
        self.assertEqual(self.content(), "second")
        self.set_elsewhere("third, longer")
        wait_until(lambda: os.stat(os.path.join(self.mount_point, FILE)).st_size == 4 + 13,
                   "its size")
        self.assertEqual(self.content(), "third, longer")
        subprocess.run(["umount", self.mount_point], check=True, timeout=60)


if __name__ == "__main__":
    require_fuse_and_root()
    require_program("fusermount3")
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
