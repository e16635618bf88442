# SPDX-License-Identifier: BSD-2-Clause-Patent
"""G: the immutable flag, ioctls, and what else can be changed of a file."""

import array
import ctypes
import fcntl
import os
import struct
import termios

from .files import (CRASH, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS,
                    GLOBAL, IMMUTABLE, VENDOR, Files, attempt, attempt_call, libc, payload)

FS_APPEND_FL, FS_NODUMP_FL, FS_SYNC_FL = 0x20, 0x40, 0x08
FS_IOC_GETVERSION = 0x80087601
FIGETBSZ, FIEMAP, FICLONE = 0x2, 0xC020660B, 0x40049409
UNKNOWN_IOCTL = 0x40044577  # _IOW('E', 0x77, int)


def immutable(files: Files):
    path = files.path("immutable")
    files.create(path, payload(b"12345"))
    yield "G01", files.get_flags(path)
    yield "G02", files.try_open(path, os.O_WRONLY)
    yield "G03", files.try_open(path, os.O_RDWR)
    yield "G04", files.try_open(path, os.O_WRONLY | os.O_APPEND)
    yield "G05", files.try_open(path, os.O_WRONLY | os.O_TRUNC)
    yield "G06", attempt(os.unlink, path)
    yield "G07", attempt(os.chmod, path, 0o600)
    yield "G08", attempt(os.chown, path, 1, 1)
    yield "G09", attempt(os.utime, path, (1, 2))
    yield "G20", files.set_flags(path, FS_APPEND_FL)
    yield "G21", files.set_flags(path, FS_NODUMP_FL)
    yield "G22", files.set_flags(path, IMMUTABLE | FS_SYNC_FL)
    yield "G23", files.set_flags(path, IMMUTABLE)
    fd = os.open(path, os.O_RDONLY)
    yield "G24", attempt_call("ioctl", fd, ctypes.c_ulong(FS_IOC_SETFLAGS), ctypes.c_void_p(8))
    yield "G25", files.set_flags(fd, 0)
    yield "G26", files.get_flags(fd)
    yield "G27", f"{files.set_flags(fd, IMMUTABLE)},{files.get_flags(fd)}"
    files.set_flags(fd, 0)
    os.close(fd)


def ioctl(fd, command, argument):
    return attempt(lambda: fcntl.ioctl(fd, command, argument) or None)


def ioctls(files: Files):
    path = files.make(files.path("ioctl"), b"12345")
    fd = os.open(path, os.O_RDONLY)
    extended = array.array("B", bytes(28))
    result = ioctl(fd, FS_IOC_FSGETXATTR, extended)
    flags = struct.unpack_from("=I", extended)[0]
    yield "G28", f"{result} xflags={flags:#x}"
    yield "G29", ioctl(fd, FS_IOC_FSSETXATTR, extended)
    yield "G30", ioctl(fd, FS_IOC_GETVERSION, bytearray(8))
    number = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, number)
    yield "G31", f"OK:{number[0]}"
    fcntl.ioctl(fd, FIGETBSZ, number)
    yield "G32", f"OK:{number[0]}"
    yield "G33", ioctl(fd, termios.TCGETS, bytearray(64))
    yield "G34", ioctl(fd, UNKNOWN_IOCTL, bytearray(4))
    yield "G35", ioctl(fd, FIEMAP, bytearray(32))
    yield "G36", attempt(fcntl.ioctl, fd, FICLONE, fd)
    os.close(fd)
    fd = os.open(path, os.O_PATH)
    yield "G37", files.get_flags(fd)
    os.close(fd)
    fd = os.open(files.root, os.O_RDONLY)
    yield "G38", files.get_flags(fd)
    yield "G39", files.set_flags(fd, IMMUTABLE)
    os.close(fd)


def attributes(files: Files):
    path = files.make(files.path("attributes"))
    result = attempt(os.chmod, path, 0o600)
    yield "G41", f"{result} mode={os.stat(path).st_mode:o}"
    result = attempt(os.chown, path, 1, 2)
    status = os.stat(path)
    yield "G42", f"{result} {status.st_uid}:{status.st_gid}"
    result = attempt(os.utime, path, (111.5, 222.7))
    status = os.stat(path)
    yield "G43", f"{result} a={status.st_atime:.1f} m={status.st_mtime:.1f}"
    before = os.stat(path)
    files.write(path, payload(b"again"))
    after = os.stat(path)
    yield "G44", (f"m={int(after.st_mtime_ns != before.st_mtime_ns)} "
                  f"c={int(after.st_ctime_ns != before.st_ctime_ns)}")
    files.content(path)
    yield "G45", "yes" if os.stat(path).st_atime_ns != after.st_atime_ns else "no"
    yield "G46", " ".join(attempt(os.setxattr, path, name, b"v")
                          for name in ("user.x", "security.x", "trusted.x"))
    yield "G47", " ".join(attempt(os.getxattr, path, name) for name in
                          ("user.x", "security.selinux", "system.posix_acl_access"))
    names = ctypes.create_string_buffer(64)
    yield "G48", f"OK:{libc.listxattr(path, names, len(names))}"
    fd = os.open(path, os.O_RDWR)
    # Not os.posix_fallocate, which writes where the file system cannot allocate.
    yield "G49", attempt_call("fallocate", fd, 0, ctypes.c_long(0), ctypes.c_long(100))
    os.close(fd)
    result = attempt(os.chmod, files.root, 0o700)
    os.chmod(files.root, 0o755)
    yield "G71", result


BORN = {
    "G80": ("BootFFF3", GLOBAL),
    "G81": ("BootXyz", GLOBAL),
    "G82": ("DriverFFF3", GLOBAL),
    "G83": ("OsIndications", GLOBAL),
    "G84": ("Lang", GLOBAL),
    "G85": ("LangX", GLOBAL),
    "G86": ("SysPrep0001", GLOBAL),
    "G87": ("BootFFF3", VENDOR),
    "G88": ("anything", CRASH),
    "G89": ("Boot", GLOBAL),
    "G90": ("PlatformLangCodes", GLOBAL),
    "G91": ("boot0001", GLOBAL),
    "G92": ("MokNew", b"605dab50-e046-4300-abb6-3dd810dd8b23"),
    "G93": ("LoaderEntryOneShot", b"4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"),
    "G94": ("fwupd-xx", b"0abba7dc-e516-4167-bbf5-4d9d1c739416"),
}


def born(files: Files):
    for row, (name, guid) in BORN.items():
        fd = os.open(files.path(name, guid), os.O_CREAT | os.O_RDWR)
        yield row, files.get_flags(fd)
        os.close(fd)


SCENARIOS = [immutable, ioctls, attributes, born]
