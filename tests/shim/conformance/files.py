# SPDX-License-Identifier: BSD-2-Clause-Patent
"""File operations whose results are strings in the form of the table of conformance."""

import array
import ctypes
import errno
import fcntl
import os
import struct

VENDOR = b"210be57c-9849-4fc7-a635-e6382d1aec27"
GLOBAL = b"8be4df61-93ca-11d2-aa0d-00e098032b8c"
CRASH = b"cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"

FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_FSSETXATTR = 0x401C5820
IMMUTABLE = 0x10

libc = ctypes.CDLL(None, use_errno=True)


def error_name(error):
    return errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")


def attempt(operation, *arguments, **keywords):
    """"OK", "OK:N" for an operation that counts bytes, or the name of the errno."""
    try:
        result = operation(*arguments, **keywords)
    except OSError as error:
        return error_name(error)
    if isinstance(result, bytes):
        return f"OK:{len(result)}"
    return "OK" if result is None or isinstance(result, bool) else f"OK:{result}"


def attempt_call(name, *arguments):
    """The same for a function of the C library."""
    if libc[name](*arguments) < 0:
        return errno.errorcode[ctypes.get_errno()].replace("ENOTSUP", "EOPNOTSUPP")
    return "OK"


def payload(data=b"x", attributes=7):
    return struct.pack("<I", attributes) + data


class Files:
    """The variables under a mount point."""

    def __init__(self, root):
        self.root = os.fsencode(root)

    def path(self, name, guid=VENDOR):
        name = name if isinstance(name, bytes) else name.encode()
        return os.path.join(self.root, name + b"-" + guid)

    def raw(self, name):
        return os.path.join(self.root, name if isinstance(name, bytes) else name.encode())

    def listed(self, path):
        return int(os.path.basename(path) in os.listdir(self.root))

    @staticmethod
    def state(path):
        try:
            return f"size={os.stat(path).st_size}"
        except FileNotFoundError:
            return "absent"

    @staticmethod
    def fd_state(fd):
        status = os.fstat(fd)
        return f"fd size={status.st_size},nlink={status.st_nlink}"

    @staticmethod
    def content(path):
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read(1 << 20)
        except OSError as error:
            return error_name(error)
        return f"{len(data)}:{data.hex()}"

    def create(self, path, data=None, flags=os.O_RDWR, mode=0o644):
        """Creates the file, writes once, closes. "OK write=OK:5", or the error of open."""
        try:
            fd = os.open(path, os.O_CREAT | flags, mode)
        except OSError as error:
            return error_name(error)
        try:
            return "OK write=" + attempt(os.write, fd, payload() if data is None else data)
        finally:
            os.close(fd)

    def try_open(self, path, flags, mode=0o644):
        try:
            os.close(os.open(path, flags, mode))
        except OSError as error:
            return error_name(error)
        return "OK"

    def make(self, path, data=b"x", attributes=7):
        """A variable that is there and may be changed."""
        result = self.create(path, payload(data, attributes))
        assert result.startswith("OK write=OK"), f"{path}: {result}"
        self.set_flags(path, 0)
        return path

    def remove(self, path):
        if os.path.exists(path):
            self.set_flags(path, 0)
            os.unlink(path)

    def write(self, path, data):
        """One write of a file that is there."""
        fd = os.open(path, os.O_WRONLY)
        try:
            return attempt(os.write, fd, data)
        finally:
            os.close(fd)

    @staticmethod
    def get_flags(target):
        fd = target if isinstance(target, int) else os.open(target, os.O_RDONLY)
        try:
            flags = array.array("i", [0])
            fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
            return f"{flags[0]:#x}"
        except OSError as error:
            return error_name(error)
        finally:
            if fd is not target:
                os.close(fd)

    @staticmethod
    def set_flags(target, flags):
        fd = target if isinstance(target, int) else os.open(target, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, array.array("i", [flags]))
            return "OK"
        except OSError as error:
            return error_name(error)
        finally:
            if fd is not target:
                os.close(fd)
