#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The program around the file system: starting, ending, dying, and who may mount what."""

import concurrent.futures
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from conformance.files import CRASH, Files, attempt, payload
from shim_mount import (ERROR_FLAG, SHOWN, Mount, blank_image, full_image, mounted_type,
                        program, require_fuse_and_root, require_program, wait_until)

TYPE = "fuse.efivarfs-shim"
NOBODY = 65534


def run(*arguments, **keywords):
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60,
                          check=False, **keywords)


class DaemonTest(unittest.TestCase):
    def mount(self, *options, image=None):
        mount = Mount(*options, image=image)
        self.addCleanup(mount.close)
        return mount.start()

    def assert_fails(self, result, *words, status=1):
        self.assertEqual(result.returncode, status, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("efivarfs-shim: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])


class EndTest(DaemonTest):
    def test_a_signal_unmounts_and_ends_with_success(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                mount = self.mount()
                mount.process.send_signal(number)
                self.assertEqual(mount.process.wait(30), 0, mount.said())
                self.assertIsNone(mounted_type(mount.path))

    def test_a_signal_ends_it_while_files_are_open(self):
        mount = self.mount()
        files = Files(mount.path)
        files.create(files.path("kept"))
        with open(files.path("kept"), "rb", buffering=0) as file:
            mount.process.terminate()
            self.assertEqual(mount.process.wait(30), 0, mount.said())
            self.assertIsNone(mounted_type(mount.path))
            self.assertEqual(attempt(file.read), "ENOTCONN")
        mount.start()
        self.assertEqual(files.content(files.path("kept")), "5:0700000078")

    def test_fusermount_ends_it_with_success(self):
        mount = self.mount()
        self.assertEqual(mount.unmount(), 0, mount.said())

    def test_everything_is_there_after_a_remount(self):
        mount = self.mount()
        files = Files(mount.path)
        contents = {files.raw(ERROR_FLAG): files.content(files.raw(ERROR_FLAG))}
        for i in range(20):
            path = files.path(f"many{i}", CRASH)
            files.create(path, payload(bytes([i]) * (i + 1)))
            contents[path] = files.content(path)
        os.unlink(files.path("many7", CRASH))
        del contents[files.path("many7", CRASH)]
        mount.remount()
        self.assertEqual({path: files.content(path) for path in contents}, contents)
        self.assertEqual(len(os.listdir(mount.path)), len(contents) + len(SHOWN))


class BootTest(DaemonTest):
    """A mount is to the store what a boot of firmware is."""

    LOCK_GUID = b"bb983ccf-151d-40e1-a07b-4a17be168292"
    CONTROL_GUID = b"e20939be-32d4-41be-a150-897f85d49829"

    @staticmethod
    def image_of(mount):
        with open(mount.image, "rb") as file:
            return file.read(), os.stat(mount.image).st_mtime_ns

    def test_the_error_flag_is_there(self):
        files = Files(self.mount().path)
        self.assertEqual(files.content(files.raw(ERROR_FLAG)), "5:07000000ff")

    def test_a_lock_ends_with_the_mount(self):
        mount = self.mount()
        files = Files(mount.path)
        lock = files.path("MemoryOverwriteRequestControlLock", self.LOCK_GUID)
        control = files.path("MemoryOverwriteRequestControl", self.CONTROL_GUID)
        files.make(lock, b"\1")
        self.assertEqual(files.create(control, payload(b"\1")), "OK write=EINVAL")
        mount.remount()
        self.assertEqual(files.content(lock), "5:0700000000")
        self.assertEqual(files.create(control, payload(b"\1")), "OK write=OK:5")

    def test_a_second_one_writes_nothing(self):
        mount = self.mount()
        mount.unmount()
        before = self.image_of(mount)
        mount.start()
        mount.unmount()
        self.assertEqual(self.image_of(mount), before)

    def test_read_only_it_writes_nothing(self):
        mount = Mount("-o", "ro")
        self.addCleanup(mount.close)
        before = self.image_of(mount)
        mount.start()
        self.assertEqual(set(os.listdir(mount.path)), SHOWN)
        mount.unmount()
        self.assertEqual(self.image_of(mount), before)

    def test_one_that_cannot_be_mounted_writes_nothing(self):
        mount = Mount()
        self.addCleanup(mount.close)
        before = self.image_of(mount)
        self.assert_fails(run(mount.image, mount.path + ".no"), "No such file")
        self.assertEqual(self.image_of(mount), before)

    def test_of_a_full_store_it_says_so(self):
        mount = self.mount(image=full_image())
        self.assertIn("EFI_OUT_OF_RESOURCES", mount.said())
        self.assertEqual(len(os.listdir(mount.path)), 1 + len(SHOWN))
        mount.unmount()
        self.assertEqual(self.image_of(mount)[0], full_image())


class StaleMountTest(DaemonTest):
    def killed(self):
        mount = self.mount()
        Files(mount.path).create(Files(mount.path).path("answered"))
        mount.process.kill()
        mount.process.wait()
        self.assertEqual(attempt(os.listdir, mount.path), "ENOTCONN")
        return mount

    def test_replace_unmounts_it_and_nothing_answered_is_lost(self):
        mount = self.killed()
        mount.start("--replace")
        self.assertEqual(set(os.listdir(mount.path)),
                         SHOWN | {ERROR_FLAG, "answered-210be57c-9849-4fc7-a635-e6382d1aec27"})
        self.assertEqual(mount.unmount(), 0)
        self.assertIsNone(mounted_type(mount.path), "one mount, not two")

    def test_several_dead_mounts_are_replaced(self):
        mount = self.killed()
        subprocess.run(["umount", "-l", mount.path], check=True)
        for _ in range(2):  # one on top of the other, past the shim's own check
            fd = os.open("/dev/fuse", os.O_RDWR)
            subprocess.run(["mount", "-i", "-t", TYPE, "x", mount.path, "-o",
                            f"fd={fd},rootmode=40000,user_id=0,group_id=0"],
                           pass_fds=[fd], check=True)
            os.close(fd)
        mount.start("-o", "replace")
        self.assertEqual(mount.unmount(), 0)
        self.assertIsNone(mounted_type(mount.path))

    def test_without_replace_the_error_names_it(self):
        mount = self.killed()
        self.assert_fails(run("--store", mount.image, mount.path), mount.path, "--replace")
        self.assertEqual(mounted_type(mount.path), TYPE)

    def test_a_relative_path_with_a_slash_is_found_too(self):
        mount = self.killed()
        self.assert_fails(run("--store", mount.image, "efivars/", cwd=mount.directory),
                          "--replace")

    def test_a_live_mount_is_not_replaced(self):
        mount = self.mount()
        other = os.path.join(mount.directory, "other.fd")
        with open(other, "wb") as file:
            file.write(blank_image())
        self.assert_fails(run("--store", other, "--replace", mount.path), "mounted already")
        self.assertEqual(set(os.listdir(mount.path)), SHOWN | {ERROR_FLAG})


class StartTest(DaemonTest):
    def test_in_the_background_it_returns_when_the_mount_is_up(self):
        mount = Mount()
        self.addCleanup(mount.close)
        before = own_processes(mount.image)
        result = run("--store", os.path.basename(mount.image), "efivars", cwd=mount.directory)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(before, [])
        self.assertEqual(mounted_type(mount.path), TYPE)
        self.assertEqual(set(os.listdir(mount.path)), SHOWN | {ERROR_FLAG})
        (daemon,) = own_processes(mount.image)
        self.assertEqual(os.getsid(daemon), daemon)
        self.assertEqual(os.readlink(f"/proc/{daemon}/cwd"), "/")
        self.assertEqual({os.readlink(f"/proc/{daemon}/fd/{fd}") for fd in range(3)},
                         {"/dev/null"})
        os.kill(daemon, signal.SIGTERM)
        wait_until(lambda: not own_processes(mount.image), "the end of the daemon")
        self.assertIsNone(mounted_type(mount.path))

    def test_mount_starts_it(self):
        require_program("mount.fuse")
        mount = Mount()
        self.addCleanup(mount.close)
        # An installed program is found by -t fuse.efivarfs-shim; this form names where it is.
        subprocess.run(["mount", "-t", "fuse", f"{program()}#{mount.image}", mount.path,
                        "-o", "ro,uid=12"], check=True)
        self.assertEqual(mounted_type(mount.path), TYPE)
        self.assertEqual(os.stat(mount.path).st_uid, 12)
        subprocess.run(["umount", mount.path], check=True)
        wait_until(lambda: not own_processes(mount.image), "the end of the daemon")

    def test_a_second_opener_is_told_who_holds_the_store(self):
        mount = self.mount()
        other = os.path.join(mount.directory, "other")
        os.mkdir(other)
        result = run("--store", mount.image, other)
        self.assert_fails(result, mount.image, f"process {mount.process.pid}")
        self.assertIsNone(mounted_type(other))

    def test_wrong_usage(self):
        self.assert_fails(run(), "mount point", status=2)
        self.assert_fails(run("--bogus"), "--bogus", status=2)
        mount = Mount()
        self.addCleanup(mount.close)
        self.assert_fails(run(mount.image, mount.path, "-o", "bogus"), "bogus", status=2)
        self.assertIsNone(mounted_type(mount.path))

    def test_what_cannot_be_mounted(self):
        mount = Mount()
        self.addCleanup(mount.close)
        self.assert_fails(run(mount.image + ".no", mount.path), mount.image + ".no", "No such file")
        self.assert_fails(run(mount.image, mount.path + ".no"), mount.path + ".no", "No such file")
        self.assert_fails(run(mount.image, mount.image), "not a directory")
        with open(mount.image, "wb") as file:
            file.write(b"\xff" * 0x84000)
        self.assert_fails(run(mount.image, mount.path), mount.image, "efistore create")
        self.assertIsNone(mounted_type(mount.path))

    def test_control_characters_are_escaped_in_messages(self):
        mount = Mount()
        self.addCleanup(mount.close)
        for words, status in ((["\x1b[2J\n", mount.path], 1), (["--\x1b[2J\n"], 2),
                              ([mount.image, mount.path, "-o", "uid=\x1b[2J\n"], 2)):
            self.assert_fails(run(*words), r"\u{1b}[2J\u{a}", status=status)

    def test_a_daemon_that_is_not_there_is_waited_for_and_named(self):
        mount = Mount()
        self.addCleanup(mount.close)
        self.assert_fails(run("unix:some.sock", mount.path), "some.sock: nobody listens there")

    def test_it_keeps_only_the_capabilities_to_unmount(self):
        mount = self.mount()
        # Privileges are dropped after the mount is up and before the first answer.
        os.listdir(mount.path)
        with open(f"/proc/{mount.process.pid}/status", encoding="utf-8") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        self.assertEqual(fields["NoNewPrivs"], "1")
        cap_dac_read_search, cap_sys_admin = 1 << 2, 1 << 21
        for which in ("CapPrm", "CapEff"):
            self.assertEqual(int(fields[which], 16) & ~(cap_dac_read_search | cap_sys_admin), 0)


def own_processes(image):
    """Shims that have `image` open."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            links = [os.readlink(f"/proc/{entry}/fd/{fd}") for fd in os.listdir(f"/proc/{entry}/fd")]
        except OSError:
            continue
        if image in links:
            found.append(int(entry))
    return found


class SemanticsTest(DaemonTest):
    """What the table of conformance has no row for."""

    def setUp(self):
        self.files = Files(self.mount().path)
        self.variable = self.files.make(self.files.path("variable"), b"value")

    def test_truncation_succeeds_and_keeps_the_value(self):
        size = f"size={4 + len(b'value')}"
        for new_size in (0, 3, 100):
            self.assertEqual(attempt(os.truncate, self.variable, new_size), "OK")
            self.assertEqual(self.files.state(self.variable), size)
        fd = os.open(self.variable, os.O_RDWR | os.O_TRUNC)
        self.assertEqual(os.fstat(fd).st_size, 9)
        self.assertEqual(attempt(os.ftruncate, fd, 1), "OK")
        self.assertEqual(os.read(fd, 64), payload(b"value"))
        os.close(fd)

    def test_links_and_renames_are_refused(self):
        new = self.files.path("new")
        self.assertEqual(attempt(os.rename, self.variable, new), "EPERM")
        self.assertEqual(attempt(os.link, self.variable, new), "EPERM")
        self.assertEqual(attempt(os.rename, self.variable, self.variable), "OK")
        self.assertEqual(self.files.state(new), "absent")

    def test_a_file_goes_with_the_last_of_three_opens_after_a_delete(self):
        fds = [os.open(self.variable, os.O_RDWR) for _ in range(3)]
        os.write(fds[0], payload(b""))
        for fd in fds:
            self.assertEqual(self.files.state(self.variable), "size=0")
            os.close(fd)
        self.assertEqual(self.files.state(self.variable), "absent")

    def test_it_goes_before_the_next_look(self):
        path = self.files.path("brief")
        for _ in range(300):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR))
            self.assertEqual(self.files.state(path), "absent")

    def test_so_do_many_at_once(self):
        before = os.listdir(self.files.root)
        fds = [os.open(self.files.path(f"brief{i}"), os.O_CREAT | os.O_RDWR) for i in range(800)]
        self.assertEqual(len(os.listdir(self.files.root)), len(before) + len(fds))
        for fd in fds:
            os.close(fd)
        self.assertEqual(os.listdir(self.files.root), before)

    def test_inode_numbers_stay(self):
        number = os.stat(self.variable).st_ino
        self.files.write(self.variable, payload(b"longer value"))
        for i in range(50):
            self.files.create(self.files.path(f"other{i}"))
        self.assertEqual(os.stat(self.variable).st_ino, number)

    def test_a_listing_shows_everything_once(self):
        names = {f"listed{i}-{'x' * 150}" for i in range(300)}
        for name in names:
            os.close(os.open(self.files.path(name, CRASH), os.O_CREAT | os.O_RDWR))
            self.files.create(self.files.path(name, CRASH), payload(b"1"))
        listed = os.listdir(self.files.root)
        self.assertEqual(len(listed), len(set(listed)))
        self.assertEqual(len(listed), len(names) + 2 + len(SHOWN))

    def test_a_cached_size_follows_writes_through_other_files(self):
        first, second = (os.open(self.variable, os.O_RDWR) for _ in range(2))
        for size in (10, 1, 5):
            os.write(first, payload(b"s" * size))
            self.assertEqual(os.fstat(second).st_size, 4 + size)
        os.close(first)
        os.close(second)

    def test_concurrent_creators_and_removers(self):
        def churn(worker):
            for i in range(40):
                path = self.files.path(f"worker{worker % 4}", CRASH)
                try:
                    fd = os.open(path, os.O_CREAT | os.O_RDWR)
                    os.write(fd, payload(bytes([worker]) * (1 + i)))
                    os.close(fd)
                    os.unlink(path)
                except FileNotFoundError:
                    pass  # another one was faster

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(churn, range(8)))
        # Who wrote after another's unlink leaves a variable or nothing, but a consistent one.
        for name in os.listdir(self.files.root):
            content = self.files.content(self.files.raw(os.fsencode(name)))
            self.assertNotIn(content, ("0:", "ENOENT"))

    def test_no_write_goes_to_a_file_that_vanishes_meanwhile(self):
        path = self.files.path("contended", CRASH)
        done = threading.Event()

        def make_it_come_and_go():
            while not done.is_set():
                self.files.try_open(path, os.O_CREAT | os.O_RDWR)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in range(2):
                pool.submit(make_it_come_and_go)
            try:
                for i in range(500):
                    value = payload(struct.pack("<I", i))
                    result = "ESTALE"  # seldom: gone and made anew twice in one open
                    while result == "ESTALE":
                        result = self.files.create(path, value)
                    self.assertEqual(result, "OK write=OK:8")
                    self.assertEqual(self.files.content(path), f"8:{value.hex()}")
                    os.unlink(path)
            finally:
                done.set()

    def test_locks_do_not_disturb(self):
        with open(self.variable, "rb", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertEqual(self.files.write(self.variable, payload(b"v")), "OK:5")


class UnprivilegedTest(unittest.TestCase):
    """Mounting by somebody who is not root, through fusermount3."""

    def setUp(self):
        if not os.stat("/dev/fuse").st_mode & 0o002:
            self.skipTest("/dev/fuse is root's only")
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="efivarfs-shim-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(self.unmount)
        self.image = os.path.join(self.directory, "vars.fd")
        self.path = os.path.join(self.directory, "efivars")
        os.mkdir(self.path)
        with open(self.image, "wb") as file:
            file.write(blank_image())
        # The build directory may be closed to others.
        self.program = shutil.copy(program(), self.directory)
        for path in (self.directory, self.image, self.path):
            os.chown(path, NOBODY, NOBODY)

    def unmount(self):
        while mounted_type(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=True)

    def as_nobody(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              user=NOBODY, group=NOBODY, extra_groups=[])

    def test_it_mounts_writes_and_unmounts(self):
        result = self.as_nobody(self.program, "--store", self.image, self.path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        name = "Mine-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"
        result = self.as_nobody("sh", "-c", f"printf '\\7\\0\\0\\0mine' > {self.path}/{name} && "
                                f"cat {self.path}/{name} && stat -c %u {self.path}/{name}")
        self.assertEqual(result.stdout, f"\7\0\0\0mine{NOBODY}\n", result.stderr)
        self.assertEqual(attempt(os.listdir, self.path), "EACCES", "not even root may look in")
        (daemon,) = own_processes(self.image)
        os.kill(daemon, signal.SIGTERM)
        wait_until(lambda: not own_processes(self.image), "the end of the daemon")
        self.assertIsNone(mounted_type(self.path))

    def test_it_replaces_its_dead_mount(self):
        self.as_nobody(self.program, "--store", self.image, self.path)
        (daemon,) = own_processes(self.image)
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: not own_processes(self.image), "the end of the daemon")
        result = self.as_nobody(self.program, "--store", self.image, "--replace", self.path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        result = self.as_nobody("fusermount3", "-u", self.path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIsNone(mounted_type(self.path))

    def test_what_fusermount_says_is_part_of_the_error(self):
        os.chown(self.path, 0, 0)
        os.chmod(self.path, 0o755)
        result = self.as_nobody(self.program, "--store", self.image, self.path)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn("fusermount3", result.stderr)


if __name__ == "__main__":
    require_fuse_and_root()
    require_program("fusermount3")
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
