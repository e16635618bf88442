#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Mounts of a daemon's variables: changes made elsewhere, deaths and returns, and rights."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

from conformance.files import payload
from daemon_process import environment_for_daemon
from shim_mount import (ERROR_FLAG, SHOWN, DaemonMount, Mount, mounted_type, program,
                        require_fuse_and_root)

GUID = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"  # of which nothing is immutable
A = f"A-{GUID}"
# "At once" on a machine that does other things as well: the shim has been told, and has a turn.
AT_ONCE_S = 5


class RemoteTest(unittest.TestCase):
    def mount(self, *options, **more):
        mount = DaemonMount(*options, **more)
        self.addCleanup(mount.close)
        return mount.start()

    def second_mount_of(self, mount, *options):
        second = Mount(*options)
        second.store = mount.store
        self.addCleanup(second.close)
        return second.start()

    def command(self, mount, *words):
        done = subprocess.run(
            [os.path.join(os.environ["EFISTORE_BINARY_DIR"], "tools", "efistore"), "--store",
             mount.store, *words], capture_output=True, env=environment_for_daemon(), check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def file(self, mount, name=A):
        return os.path.join(mount.path, name)

    def read(self, mount, name=A):
        with open(self.file(mount, name), "rb") as file:
            return file.read()

    def write(self, mount, data, name=A):
        fd = os.open(self.file(mount, name), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            return os.write(fd, payload(data))
        finally:
            os.close(fd)

    def at_once(self, condition, what):
        end = time.monotonic() + AT_ONCE_S
        while not condition():
            self.assertLess(time.monotonic(), end, f"not at once: {what}")
            time.sleep(0.002)


class ChangesTest(RemoteTest):
    def test_what_the_command_does_is_seen(self):
        mount = self.mount()
        self.assertFalse(os.path.exists(self.file(mount)))  # not there, and the kernel knows it
        self.command(mount, "set", A, "--text", "one")
        self.at_once(lambda: os.path.exists(self.file(mount)), "a new variable")
        self.assertEqual(self.read(mount), payload(b"one"))
        self.assertEqual(os.stat(self.file(mount)).st_size, 7)
        self.assertIn(A, os.listdir(mount.path))
        fd = os.open(self.file(mount), os.O_RDONLY)
        for text in ("three", "seven77", "x", "y"):
            self.command(mount, "set", A, "--text", text)
            wanted = payload(text.encode())
            self.at_once(lambda wanted=wanted: os.stat(self.file(mount)).st_size == len(wanted),
                         "another size")
            self.at_once(lambda wanted=wanted: self.read(mount) == wanted, "other content")
            self.assertEqual(os.pread(fd, 100, 0), wanted)
        # While it is open somewhere the file stays, empty, as after a deletion through the mount.
        self.command(mount, "delete", A)
        self.at_once(lambda: os.stat(self.file(mount)).st_size == 0, "a deletion under a reader")
        self.assertEqual(os.pread(fd, 100, 0), b"")
        os.close(fd)
        self.at_once(lambda: not os.path.exists(self.file(mount)), "the last close")
        self.assertNotIn(A, os.listdir(mount.path))
        self.command(mount, "set", A, "--text", "again")
        self.at_once(lambda: os.path.exists(self.file(mount)), "its return")
        self.command(mount, "delete", A)
        self.at_once(lambda: not os.path.exists(self.file(mount)), "a deletion")
        self.assertNotIn(A, os.listdir(mount.path))
        self.command(mount, "set", A, "--text", "back")
        self.at_once(lambda: os.path.exists(self.file(mount)), "its return")
        self.assertEqual(self.read(mount), payload(b"back"))

    def test_many_at_once(self):
        mount = self.mount()
        names = {f"V{number}-{GUID}" for number in range(40)}
        changes = ",".join(f'{{"name": "{name}", "text": "x"}}' for name in sorted(names))
        path = os.path.join(mount.directory, "changes.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'{{"changes": [{changes}]}}')
        self.command(mount, "apply", path)
        self.at_once(lambda: names <= set(os.listdir(mount.path)), "a transaction")
        for name in names:
            self.assertEqual(self.read(mount, name), payload(b"x"))

    def test_two_mounts_see_each_other(self):
        one = self.mount()
        two = self.second_mount_of(one)
        for turn in range(10):
            writer, reader = (one, two) if turn % 2 else (two, one)
            data = b"x" * (turn + 1)
            self.write(writer, data)
            self.at_once(lambda reader=reader, data=data: os.path.exists(self.file(reader))
                         and self.read(reader) == payload(data), "the other's write")
            self.assertEqual(os.stat(self.file(reader)).st_size, len(data) + 4)
        os.unlink(self.file(one))
        self.at_once(lambda: not os.path.exists(self.file(two)), "the other's deletion")
        self.assertEqual(sorted(os.listdir(one.path)), sorted(os.listdir(two.path)))

    def test_what_the_mount_writes_the_command_sees(self):
        mount = self.mount()
        self.write(mount, b"from the mount")
        self.assertEqual(self.command(mount, "get", A, "--raw"), b"from the mount")
        os.unlink(self.file(mount))
        self.assertNotIn(A.encode(), self.command(mount, "list"))


class DeathTest(RemoteTest):
    def test_a_daemon_that_dies_and_returns(self):
        mount = self.mount()
        self.write(mount, b"before")
        for turn in range(3):
            mount.daemon.kill()
            outcome = []

            def use(turn=turn, outcome=outcome):
                try:
                    outcome.append(self.write(mount, b"during%d" % turn))
                except OSError as error:
                    outcome.append(errno.errorcode[error.errno])

            user = threading.Thread(target=use)
            user.start()
            time.sleep(0.3)
            mount.daemon.start()
            user.join(60)
            self.assertFalse(user.is_alive(), "it waits for ever")
            self.assertIn(outcome[0], (4 + len(b"during0"), "EIO"))
            self.write(mount, b"after%d" % turn)
            self.assertEqual(self.read(mount), payload(b"after%d" % turn))
        self.assertEqual(mount.process.poll(), None)
        # It is told of changes again.
        self.command(mount, "set", A, "--text", "told")
        self.at_once(lambda: self.read(mount) == payload(b"told"), "a change after the return")
        self.assertEqual(mount.unmount(), 0)

    def test_a_change_that_was_made_while_nobody_told_of_it(self):
        mount = self.mount()
        self.write(mount, b"before")
        self.assertEqual(self.read(mount), payload(b"before"))
        mount.daemon.end()
        mount.daemon.start()
        self.command(mount, "set", A, "--text", "other")
        self.command(mount, "set", f"New-{GUID}", "--text", "x")
        self.at_once(lambda: self.read(mount) == payload(b"other"), "a change in between")
        self.at_once(lambda: f"New-{GUID}" in os.listdir(mount.path), "a new one in between")

    def test_a_daemon_that_stays_away(self):
        mount = self.mount()
        self.write(mount, b"before")
        mount.daemon.kill()
        begin = time.monotonic()
        with self.assertRaises(OSError) as caught:
            self.write(mount, b"never")
        self.assertEqual(caught.exception.errno, errno.EIO)
        self.assertLess(time.monotonic() - begin, 30)
        mount.daemon.start()
        self.assertEqual(self.read(mount), payload(b"before"))
        self.write(mount, b"after")
        self.assertEqual(mount.unmount(), 0)


class RightsTest(RemoteTest):
    def test_who_may_only_read_gets_a_mount_for_reading(self):
        if shutil.which("setpriv") is None:
            self.skipTest("setpriv is not installed")
        mount = DaemonMount(daemon_options=("--allow", "any=read"))
        self.addCleanup(mount.close)
        mount.daemon.start()
        self.command(mount, "set", A, "--text", "x")
        # Whoever is neither root nor the daemon's user.
        os.chown(mount.path, 65534, 65534)
        copy = os.path.join(mount.directory, "shim")
        shutil.copy(program(), copy)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "--store",
             mount.store, mount.path], capture_output=True, env=environment_for_daemon(),
            check=False)
        if b"Permission denied" in done.stderr and b"fuse" in done.stderr:
            self.skipTest(done.stderr.decode())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(), r"\Aefivarfs-shim: .* is mounted for reading only: "
                                               r"the daemon lets you read, and no more\n\Z")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            (options,) = [line.split()[3] for line in mounts if line.split()[1] == mount.path]
        self.assertIn("ro", options.split(","))
        shown = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c",
             f'cat "{self.file(mount)}"; echo x > "{self.file(mount)}2"'], capture_output=True,
            check=False)
        self.assertEqual(shown.stdout, payload(b"x"))
        self.assertIn(b"Read-only file system", shown.stderr)

    def test_a_store_that_is_only_read(self):
        mount = self.mount(daemon_options=("--read-only",))
        with self.assertRaises(OSError) as caught:
            self.write(mount, b"x")
        self.assertIn(caught.exception.errno, (errno.EROFS, errno.EIO))


class OptionsTest(RemoteTest):
    def test_options_that_are_the_daemons_are_refused(self):
        mount = DaemonMount()
        self.addCleanup(mount.close)
        mount.daemon.start()
        for option in ("strict_runtime", "max_variable_size=4096", "hardware_error_storage=4096",
                       "idle=5", "budget=4096"):
            done = subprocess.run([program(), "--store", mount.store, "-o", option, mount.path],
                                  capture_output=True, env=environment_for_daemon(), check=False)
            name = option.partition("=")[0]
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr.decode(), rf"\Aefivarfs-shim: -o {name}: .*daemon's.*\n\Z")
            self.assertIsNone(mounted_type(mount.path))

    def test_nobody_listens(self):
        mount = DaemonMount()
        self.addCleanup(mount.close)
        done = subprocess.run([program(), "--store", mount.store, mount.path], capture_output=True,
                              env=environment_for_daemon(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), r"\Aefivarfs-shim: .*nobody listens there.*\n\Z")
        self.assertIsNone(mounted_type(mount.path))

    def test_those_of_a_mount_are_taken(self):
        mount = self.mount("-o", "uid=1000,gid=1001")
        status = os.stat(self.file(mount, ERROR_FLAG))
        self.assertEqual((status.st_uid, status.st_gid), (1000, 1001))
        self.assertEqual(set(os.listdir(mount.path)), SHOWN | {ERROR_FLAG})


if __name__ == "__main__":
    require_fuse_and_root()
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
