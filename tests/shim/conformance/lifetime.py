# SPDX-License-Identifier: BSD-2-Clause-Patent
"""C: making files, and when they go. Z: what is left after a remount."""

import os
import stat

from .files import CRASH, VENDOR, Files, attempt, payload


def uncommitted(files: Files):
    path = files.path("new")
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    yield "C01", "OK"
    status = os.fstat(fd)
    yield "C02", f"{status.st_mode:o},{status.st_size},{status.st_nlink}"
    yield "C03", attempt(os.read, fd, 64)
    yield "C04", files.get_flags(fd)
    yield "C05", f"{files.listed(path)}"
    yield "C06", files.try_open(path, os.O_RDONLY)
    yield "C07", files.try_open(path, os.O_WRONLY)
    yield "C08", attempt(os.write, fd, payload(b"hi"))
    os.close(fd)
    yield "C09", f"{files.state(path)} / {files.content(path)}"

    path = files.path("never-written")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR))
    yield "C10", files.state(path)
    yield "C11", files.try_open(path, os.O_CREAT | os.O_RDONLY)
    yield "C12", files.state(path)


def existing(files: Files):
    path = files.path("existing")
    files.make(path)
    files.set_flags(path, 0x10)
    yield "C13", files.try_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    yield "C14", files.try_open(path, os.O_CREAT | os.O_WRONLY)
    yield "C15", files.try_open(path, os.O_CREAT | os.O_RDONLY)
    files.set_flags(path, 0)
    yield "C16", files.try_open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    yield "C17", f"{os.stat(path).st_mode:o}"


def modes(files: Files):
    path = files.path("unwritable")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o444)
    yield "C18", "OK, " + attempt(os.write, fd, payload())
    os.close(fd)
    yield "C19", f"{os.stat(path).st_mode:o}"
    path = files.path("masked")
    before = os.umask(0o077)
    files.create(path, mode=0o644)
    os.umask(before)
    yield "C20", f"{os.stat(path).st_mode:o}"


def other_kinds(files: Files):
    path = files.path("node")
    regular = stat.S_IFREG | 0o644
    yield "C21", f"{attempt(os.mknod, path, regular)}, then {files.state(path)}"
    files.try_open(path, os.O_RDONLY)
    yield "C22", files.state(path)
    files.remove(path)  # kernels before 6.14 keep it
    yield "C23", attempt(os.mknod, path, stat.S_IFIFO | 0o644)
    yield "C24", attempt(os.mknod, files.raw("foo"), regular)
    yield "C25", attempt(os.mkdir, path)
    yield "C26", attempt(os.mkdir, files.raw("foo"))
    yield "C27", attempt(os.symlink, b"target", path)
    yield "C28", files.try_open(files.root, os.O_TMPFILE | os.O_RDWR)
    yield "C29", attempt(os.rmdir, files.raw("foo"))


def last_close(files: Files):
    path = files.path("several")
    writer = os.open(path, os.O_CREAT | os.O_RDWR)
    readers = [os.open(path, os.O_RDONLY) for _ in range(2)]
    os.close(writer)
    yield "C30", files.state(path)
    os.close(readers[0])
    yield "C31", files.state(path)
    os.close(readers[1])
    yield "C32", files.state(path)


def failed_writes(files: Files):
    path = files.path("second-try")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "C33", attempt(os.write, fd, payload(attributes=0x107))
    yield "C34", attempt(os.write, fd, payload())
    os.close(fd)
    yield "C35", files.state(path)
    path = files.path("no-second-try")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    result = attempt(os.write, fd, payload(attributes=0x107))
    os.close(fd)
    yield "C36", f"{result}, {files.state(path)}"


def unlinked(files: Files):
    path = files.path("unlinked", CRASH)
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "C37", f"{attempt(os.unlink, path)}, then {files.state(path)}"
    yield "C38", attempt(os.write, fd, payload())
    yield "C39", f"{files.state(path)} / {files.listed(path)}"
    os.close(fd)
    yield "C40", files.state(path)


UTF8_NAME = "na\u00efve".encode()


def before_remount(files: Files):
    files.create(files.path("Upper", VENDOR.upper()))
    changed = files.make(files.path("changed"))
    os.chmod(changed, 0o600)
    os.chown(changed, 1, 1)
    os.utime(changed, (111, 222))
    files.create(files.path("volatile"), payload(attributes=6))
    files.create(files.path(UTF8_NAME))
    files.create(files.path("bang!"))
    os.close(os.open(files.path("closed"), os.O_CREAT | os.O_RDWR))
    os.mknod(files.path("noded"), stat.S_IFREG | 0o644)
    truncated = files.make(files.path("truncated"), b"trunc")
    os.truncate(truncated, 0)
    return ()


def after_remount(files: Files):
    lower, upper = files.path("Upper"), files.path("Upper", VENDOR.upper())
    yield "Z01", f"{files.listed(upper)}/{files.listed(lower)}"
    changed = files.path("changed")
    status = os.stat(changed)
    flags = files.get_flags(changed)
    yield "Z02", f"{status.st_mode:o},{status.st_uid}:{status.st_gid},{flags}"
    yield "Z03", attempt(os.stat, files.path("volatile"))
    widened = UTF8_NAME.decode("latin-1").encode()
    yield "Z04", f"{files.listed(files.path(UTF8_NAME))}/{files.listed(files.path(widened))}"
    yield "Z05", f"{files.listed(files.path('bang!'))}"
    yield "Z06", files.state(files.path("closed"))
    yield "Z07", files.state(files.path("noded"))
    yield "Z09", f"{int(status.st_mtime == 222)}"
    truncated = files.path("truncated")
    yield "Z10", f"{files.state(truncated)} {files.content(truncated)}"


SCENARIOS = [uncommitted, existing, modes, other_kinds, last_close, failed_writes, unlinked]
