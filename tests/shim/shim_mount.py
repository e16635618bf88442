# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Mounting efivarfs-shim for tests: images, processes, and what to do where there is no FUSE."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import uuid
import zlib

from daemon_process import Daemon

SKIPPED = 77
START_TIMEOUT_S = 30
# The variable that every mount makes sure of.
ERROR_FLAG = "VarErrorFlag-04b37fe8-f6ae-480b-bdd5-37d98c5e89aa"
# Those that firmware shows without keeping them, also where nothing is written.
SHOWN = {f"{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c"
         for name in ("AuditMode", "DeployedMode", "SecureBoot", "SetupMode", "SignatureSupport",
                      "VendorKeys")}
FIRST_RECORD = 0x64
AREA_END = 0x40000


def program():
    return os.path.join(os.environ["EFISTORE_BINARY_DIR"], "efivarfs-shim", "efivarfs-shim")


def skip(reason):
    """Leaves as skipped, or as failed where everything should have been installed."""
    print(f"skipped: {reason}", flush=True)
    sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)


def require_fuse_and_root():
    if os.geteuid() != 0:
        skip("needs root, to mount for every user")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        skip(f"/dev/fuse: {error.strerror}")


def require_program(name):
    path = shutil.which(name)
    if path is None:
        skip(f"{name} is not installed")
    return path


def blank_image():
    """An empty authenticated variable store in the layout of OVMF's 4 MiB build."""
    volume_guid = bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")
    store_guid = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792")
    working_guid = bytes.fromhex("2b29589e687c7d49a0ce6500fd9f1b95")

    def volume_header(checksum):
        return struct.pack("<16x16sQ4sIHHHBBIIII", volume_guid, 0x84000, b"_FVH", 0x4FEFF, 0x48,
                           checksum, 0, 0, 2, 0x84, 0x1000, 0, 0)

    total = sum(struct.unpack("<36H", volume_header(0)))
    store_header = struct.pack("<16sIBBHI", store_guid, 0x3FFB8, 0x5A, 0xFE, 0, 0)
    queue = struct.pack("<Q", 0x1000 - 32)
    crc = zlib.crc32(working_guid + b"\xff" * 8 + queue)
    working_header = working_guid + struct.pack("<I", crc) + b"\xfe\xff\xff\xff" + queue

    image = bytearray(b"\xff" * 0x84000)
    headers = volume_header(-total & 0xFFFF) + store_header
    image[: len(headers)] = headers
    image[0x41000 : 0x41000 + len(working_header)] = working_header
    return bytes(image)


def full_image():
    """A store with one variable that leaves no room for another one's record."""
    name = "Full\0".encode("utf-16-le")
    header_size = 60
    guid = uuid.UUID("210be57c-9849-4fc7-a635-e6382d1aec27").bytes_le
    data_size = AREA_END - FIRST_RECORD - header_size - len(name) - 32
    header = struct.pack("<HBBIQ16xIII16s", 0x55AA, 0x3F, 0, 7, 0, 0, len(name), data_size, guid)
    assert len(header) == header_size
    record = header + name + b"f" * data_size
    image = bytearray(blank_image())
    image[FIRST_RECORD : FIRST_RECORD + len(record)] = record
    return bytes(image)


def mounted_type(path):
    """The type of the topmost file system at `path`, or None."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            before, after = line.rstrip("\n").split(" - ", 1)
            if before.split(" ")[4] == path:
                found = after.split(" ")[0]
    return found


def answers(path):
    """Whether a file system of ours is mounted at `path` and its process lives."""
    try:
        os.statvfs(path)
    except OSError:
        return False
    return mounted_type(path) == "fuse.efivarfs-shim"


def wait_until(condition, what):
    end = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {START_TIMEOUT_S} s for {what}")
        time.sleep(0.005)


class Mount:
    """A store in a directory of its own, mounted by a shim in the foreground."""

    def __init__(self, *options, image=None):
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="efivarfs-shim-"))
        self.image = os.path.join(self.directory, "vars.fd")
        self.store = self.image
        self.path = os.path.join(self.directory, "efivars")
        self.options = options
        self.process = None
        self.log = None
        os.chmod(self.directory, 0o755)  # other users are let in as far as the mount lets them
        os.mkdir(self.path)
        with open(self.image, "wb") as file:
            file.write(blank_image() if image is None else image)

    def start(self, *more):
        if self.log is not None:
            self.log.close()
        # What the shim says goes to a file: a pipe nobody reads would stop it.
        self.log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [program(), "--store", self.store, "-f", *self.options, *more, self.path],
            stderr=self.log)
        wait_until(lambda: answers(self.path) or self.process.poll() is not None, "the mount")
        if self.process.poll() is not None:
            raise AssertionError(f"the shim ended with {self.process.returncode}: {self.said()}")
        return self

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def unmount(self):
        """Unmounts as a user does, and gives the shim's exit status."""
        subprocess.run(["fusermount3", "-u", self.path], check=True)
        return self.process.wait(START_TIMEOUT_S)

    def remount(self):
        status = self.unmount()
        assert status == 0, f"exit status {status}: {self.said()}"
        return self.start()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        while mounted_type(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=True)
        if self.log is not None:
            self.log.close()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


class DaemonMount(Mount):
    """The same of a daemon that has the store. It outlives a remount."""

    def __init__(self, *options, image=None, daemon_options=()):
        super().__init__(*options, image=image)
        self.daemon = Daemon(self.directory, "vars.fd", *daemon_options)
        self.store = self.daemon.locator

    def start(self, *more):
        if self.daemon.process is None:
            self.daemon.start()
        return super().start(*more)

    def close(self):
        self.daemon.close()
        super().close()
