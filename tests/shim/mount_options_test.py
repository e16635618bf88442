#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What mount options do, and how space is counted."""

import os
import subprocess
import sys
import unittest

from conformance.files import CRASH, Files, attempt, payload
from daemon_test import DaemonTest, run
from shim_mount import (FIRST_RECORD, SHOWN, require_fuse_and_root, require_program,
                        wait_until)


class MountOptionsTest(DaemonTest):
    def test_owner(self):
        mount = self.mount("-o", "uid=12,gid=34")
        files = Files(mount.path)
        files.create(files.path("owned"))
        for path in (mount.path, files.path("owned")):
            status = os.stat(path)
            self.assertEqual((status.st_uid, status.st_gid), (12, 34))

    def test_read_only(self):
        mount = self.mount()
        files = Files(mount.path)
        path = files.make(files.path("there"))
        mount.unmount()
        mount.start("-o", "ro")
        self.assertEqual(files.content(path), "5:0700000078")
        new = files.path("new")
        self.assertEqual(files.try_open(new, os.O_CREAT | os.O_RDWR), "EROFS")
        self.assertEqual(files.try_open(path, os.O_WRONLY), "EROFS")
        self.assertEqual(attempt(os.unlink, path), "EROFS")
        self.assertEqual(attempt(os.truncate, path, 0), "EROFS")
        self.assertEqual(attempt(os.chmod, path, 0o600), "EROFS")
        self.assertEqual(attempt(os.rename, path, new), "EROFS")
        self.assertEqual(files.set_flags(path, 0), "EROFS")

    def test_read_only_mounts_share_a_store(self):
        first = self.mount("-o", "ro")
        second = os.path.join(first.directory, "second")
        os.mkdir(second)
        self.assertEqual(run(first.image, second, "-o", "ro").returncode, 0)
        self.addCleanup(subprocess.run, ["fusermount3", "-u", second], check=True)
        self.assertEqual(set(os.listdir(second)), SHOWN)

    def test_nothing_on_it_gives_privileges(self):
        mount = self.mount("-o", "suid,dev,exec")
        flags = os.statvfs(mount.path).f_flag
        for flag in (os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC):
            self.assertTrue(flags & flag)

    def test_a_damaged_store_is_mounted_for_reading(self):
        mount = self.mount()
        files = Files(mount.path)
        for name in ("first", "second"):
            files.create(files.path(name))
        mount.unmount()
        with open(mount.image, "r+b") as file:
            file.seek(FIRST_RECORD)
            self.assertEqual(file.read(2), b"\xaa\x55")
            file.seek(FIRST_RECORD)
            file.write(b"\0\0")
        mount.start()
        (line,) = mount.said().splitlines()
        self.assertIn("damaged", line)
        self.assertEqual(files.content(files.path("second")), "5:0700000078")
        self.assertEqual(files.try_open(files.path("new"), os.O_CREAT | os.O_RDWR), "EROFS")

    def test_reserve(self):
        mount = self.mount("-o", "reserve=100000")
        status = os.statvfs(mount.path)
        self.assertEqual(status.f_bfree - status.f_bavail, 100000)

    def test_idle_compacts(self):
        mount = self.mount("-o", "idle=1")
        files = Files(mount.path)

        def flash_has(byte):
            with open(mount.image, "rb") as image:
                return bytes([byte]) * 30000 in image.read()

        # One descriptor: a closed file would be immutable.
        fd = os.open(files.path("large"), os.O_CREAT | os.O_RDWR)
        for fill in b"abcdef":
            self.assertEqual(os.write(fd, payload(bytes([fill]) * 30000)), 30004)
        self.assertTrue(flash_has(ord("a")), "it was compacted before it was idle")
        wait_until(lambda: not flash_has(ord("a")), "the store to be compacted")
        self.assertTrue(flash_has(ord("f")))
        self.assertEqual(os.pread(fd, 40000, 0), payload(b"f" * 30000))
        os.close(fd)

    def test_hardware_error_storage(self):
        name, guid = "HwErrRec0001", b"414e6bdd-e47b-47cc-b244-bb61020cf516"
        mount = self.mount()
        files = Files(mount.path)
        record = payload(b"record", 0xF)
        self.assertEqual(files.create(files.path(name, guid), record), "OK write=EINVAL")
        mount.unmount()
        mount.start("-o", "hardware_error_storage=65536")
        self.assertEqual(files.create(files.path(name, guid), record), "OK write=OK:10")

    def test_max_variable_size(self):
        mount = self.mount("-o", "max_variable_size=1024")
        files = Files(mount.path)
        self.assertEqual(files.create(files.path("large"), payload(b"x" * 1024)),
                         "OK write=EINVAL")
        self.assertEqual(files.create(files.path("small"), payload(b"x" * 900)),
                         "OK write=OK:904")

    def test_source_in_the_mount_table(self):
        mount = self.mount("-o", "fsname=efivarfs on /sys/firmware/efi/efivars type efivarfs")
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            (line,) = [line for line in mounts if f" {mount.path} " in line]
        self.assertIn(r"efivarfs\040on\040/sys", line)


class SpaceTest(DaemonTest):
    def test_a_full_store_says_so_and_is_compacted_when_there_is_something_to_gain(self):
        mount = self.mount()
        files = Files(mount.path)

        def available():
            return os.statvfs(mount.path).f_bavail

        made = []
        result = "OK write=OK:8004"
        while result == "OK write=OK:8004":
            before = available()
            made.append(files.path(f"fill{len(made)}", CRASH))
            result = files.create(made[-1], payload(b"f" * 8000))
        self.assertEqual(result, "OK write=ENOSPC")
        self.assertLess(before, 8000 + 100)
        self.assertGreater(len(made), 25)
        made.pop()
        # Rewriting leaves dead records behind; statfs counts what a reclaim gives back.
        for path in made:
            os.unlink(path)
        self.assertGreater(available(), 200000)
        for _ in range(100):
            self.assertEqual(files.create(files.path("churn", CRASH), payload(os.urandom(8000))),
                             "OK write=OK:8004")


if __name__ == "__main__":
    require_fuse_and_root()
    require_program("fusermount3")
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
