# SPDX-License-Identifier: BSD-2-Clause-Patent
"""policy list, register, lock, and what set, delete and a mount make of policies."""

import errno
import os
import pathlib
import struct
import subprocess
import time
import uuid
import zlib

import command
import script_test
from command import FAILURE, GLOBAL_GUID, OWN_GUID, USAGE

BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
OTHER_BOOT = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
MOUNT_TIMEOUT_S = 30


def own(name: str) -> str:
    return f"{name}-{OWN_GUID}"


def entry(name, *, lock=0, minimum=0, maximum=0xFFFFFFFF, must=0, cant=0, guid=OWN_GUID,
          version=0x10000) -> bytes:
    """A VARIABLE_POLICY_ENTRY without a state variable."""
    text = b"" if name is None else name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<IHH16sIIIIB3x", version, 44 + len(text), 44, uuid.UUID(guid).bytes_le,
                       minimum, maximum, must, cant, lock) + text


def policy_file(entries: bytes, boot=uuid.UUID(int=0)) -> bytes:
    rest = boot.bytes_le + entries
    return b"efipolcy" + struct.pack("<II", 1, zlib.crc32(rest)) + rest


class PolicyTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")

    def register(self, *words, **options):
        self.run_it("policy", "register", *words, **options)

    def listed(self) -> list[str]:
        return self.text("policy", "list").splitlines()

    def set(self, name, text="x", *words):
        self.run_it("set", own(name), "--text", text, *words)

    def set_fails(self, name, status, text="x", *words):
        self.fails("set", own(name), "--text", text, *words,
                   message=rf"{own(name)}: {status}: .*")

    def kept(self) -> bytes:
        return self.path("vars.fd.policy").read_bytes()

    def keep(self, content: bytes):
        self.path("vars.fd.policy").write_bytes(content)


class RegisterTest(PolicyTest):
    def test_the_file_has_edk2s_entries(self):
        self.register(own("A"), "--min", "2", "--max", "4K", "--must", "nv,bs", "--cant", "0x40",
                      "--lock", "on-create")
        self.assertEqual(self.kept(), policy_file(
            entry("A", minimum=2, maximum=4096, must=3, cant=0x40, lock=2)))
        self.register("*-" + OWN_GUID, "--lock", "now")
        self.register("Boot####", "--lock", own("S=1") + "=0x5a")
        state = uuid.UUID(OWN_GUID).bytes_le + b"\x5a\0" + "S=1\0".encode("utf-16-le")
        name = "Boot####\0".encode("utf-16-le")
        on_state = struct.pack("<IHH16sIIIIB3x", 0x10000, 44 + len(state) + len(name),
                               44 + len(state), uuid.UUID(GLOBAL_GUID).bytes_le, 0, 0xFFFFFFFF, 0,
                               0, 3) + state + name
        self.assertEqual(self.kept(), policy_file(
            entry("A", minimum=2, maximum=4096, must=3, cant=0x40, lock=2) +
            entry(None, lock=1) + on_state))

    def test_entries_come_from_a_file_or_standard_input(self):
        self.path("entries").write_bytes(entry("A", lock=1) + entry(None))
        self.register("-f", "entries")
        self.register("-f", "-", stdin=entry("B"))
        self.assertEqual(self.kept(), policy_file(entry("A", lock=1) + entry(None) + entry("B")))

    def test_the_store_is_left_as_it_is(self):
        with self.keeps("vars.fd"):
            self.register(own("A"))
            self.listed()
            self.run_it("policy", "lock")

    def test_the_same_again_is_already_started(self):
        self.register(own("A"))
        before = self.kept()
        self.fails("policy", "register", own("A"), "--lock", "now",
                   message=rf"{own('A')}: EFI_ALREADY_STARTED: .*")
        self.fails("policy", "register", "-f", "-", stdin=entry("B") + entry("A"),
                   message=rf"{own('A')}: EFI_ALREADY_STARTED: .*")
        self.assertEqual(self.kept(), before, "all of them or none")

    def test_malformed_entries_are_invalid_parameter(self):
        good = entry("A")
        for content, message in ((good[:-1], "entry 0 at 0: Size at offset 4: .*"),
                                 (good + b"x", "entry 1 at 48: the entry at offset 0: 1 bytes.*"),
                                 (entry("A", version=1), ".*Version at offset 0.*"),
                                 (entry("A", maximum=0), ".*MaxSize at offset 28.*"),
                                 (entry("A", lock=4), ".*LockPolicyType at offset 40.*")):
            self.fails("policy", "register", "-f", "-", stdin=content,
                       message=f"standard input: EFI_INVALID_PARAMETER: {message}")
        self.fails("policy", "register", "-f", "-", message="standard input: no bytes, .*")
        self.assertFalse(self.path("vars.fd.policy").exists())

    def test_wrong_usage(self):
        for words, message in (
                ([], "a NAME or -f FILE is required"),
                ([own("A"), "-f", "x"], ".*excludes.*"),
                (["-f", "x", "--lock", "now"], ".*excludes.*"),
                ([own("A"), "--min", "x"], '--min: "x": a number of bytes .*'),
                ([own("A"), "--max", "4G"], '--max: "4G": a number of bytes .*'),
                ([own("A"), "--max", "0xffffffff"], "--max: .*"),
                ([own("A"), "--max", "0"], "--max: 0 bytes are a deletion.*"),
                ([own("A"), "--min", "2", "--max", "1"], "--min 2 is more than --max 1"),
                ([own("A"), "--must", "x"], '--must: "x": some of nv,.*'),
                ([own("A"), "--must", "nv,bs", "--cant", "bs"], "bs in --must and in --cant .*"),
                ([own("A"), "--lock", "later"], '--lock: "later": none, now, .*'),
                ([own("A"), "--lock", own("S") + "=256"], "--lock: .*0 to 255.*"),
                ([own("A"), "--lock", own("S") + "="], "--lock: .*0 to 255.*"),
                ([own("A"), "--lock", "=1"], "--lock: .*a variable.*"),
                ([""], '"" names no variable: .*')):
            self.fails("policy", "register", *words, code=USAGE, message=message)
        self.fails("policy", code=USAGE,
                   message="policy: a command is required; `efistore policy --help` lists them")
        for word in ("frobnicate", "--frobnicate"):
            self.fails("policy", word, code=USAGE,
                       message=f'"{word}" is neither a command of policy nor an option; .*')
        self.fails("policy", "list", "x", code=USAGE, message=".*x.*")
        self.fails("policy", "lock", "x", code=USAGE, message=".*x.*")

    def test_without_a_store_there_are_no_policies(self):
        for words in (["list"], ["register", "A"], ["lock"]):
            self.fails("policy", *words, store="none.fd", message="none.fd: No such file .*")
        self.path("blank").write_bytes(b"\xff" * 0x84000)
        self.fails("policy", "register", "A", store="blank", message="blank is blank: .*")
        self.assertFalse(self.path("blank.policy").exists())

    def test_a_symbolic_link_to_the_image_has_the_images_policies(self):
        self.path("folder").mkdir()
        self.path("folder/link.fd").symlink_to("../vars.fd")
        self.register(own("A"), "--lock", "now", store="folder/link.fd")
        self.assertEqual(self.kept(), policy_file(entry("A", lock=1)))
        self.fails("set", own("A"), "--text", "x", store="folder/link.fd",
                   message=".*EFI_WRITE_PROTECTED.*")

    def test_the_table_has_a_limit(self):
        many = b"".join(entry(f"V{i}") for i in range(1024))
        self.register("-f", "-", stdin=many)
        self.fails("policy", "register", own("A"), message=".*EFI_OUT_OF_RESOURCES: .*")


class ListTest(PolicyTest):
    def test_lines(self):
        self.assertEqual(self.listed(), [])
        self.register(own("A"))
        self.register("Boot####", "--min", "6", "--max", "4K", "--must", "nv,bs,rt", "--cant", "ap",
                      "--lock", "on-create")
        self.register("*-" + OWN_GUID, "--lock", "now")
        self.register(own("B"), "--lock", own("S") + "=1")
        self.assertEqual(self.listed(), [
            f"{own('A')}  anything goes",
            f"Boot####-{GLOBAL_GUID}  min 6 max 4096 must nv,bs,rt cant ap lock on-create",
            f"*-{OWN_GUID}  lock now", f"{own('B')}  lock {own('S')}=0x01"])
        self.run_it("policy", "lock")
        self.assertEqual(self.listed()[0], "(locked until the next boot)")

    def test_json(self):
        self.assertEqual(self.json("policy", "list"), {
            "store": "vars.fd", "file": str(self.path("vars.fd.policy").resolve()),
            "locked": False, "policies": []})
        self.register(own("A"), "--max", "4", "--must", "nv,bs", "--cant", "ap")
        self.register("*", "--lock", own("S") + "=255")
        self.run_it("policy", "lock")
        shown = self.json("policy", "list")
        self.assertTrue(shown["locked"])
        self.assertEqual(shown["policies"], [
            {"name": "A", "guid": OWN_GUID, "min_size": 0, "max_size": 4, "must_have": 3,
             "must_have_names": "nv,bs", "cant_have": 64, "cant_have_names": "ap", "lock": "none"},
            {"name": None, "guid": GLOBAL_GUID, "min_size": 0, "max_size": None, "must_have": 0,
             "must_have_names": "0", "cant_have": 0, "cant_have_names": "0", "lock": "on-state",
             "state": {"name": "S", "guid": OWN_GUID, "value": 255}}])

    def test_names_are_escaped(self):
        self.register("-f", "-", stdin=entry("\x1b[2J") + entry("\n"))
        self.assertEqual(self.listed(), [f"\\u{{1b}}[2J-{OWN_GUID}  anything goes",
                                         f"\\u{{a}}-{OWN_GUID}  anything goes"])
        self.assertEqual(self.json("policy", "list")["policies"][0]["name"], "\x1b[2J")


class EnforceTest(PolicyTest):
    def test_sizes_and_attributes_are_invalid_parameter_and_deletion_has_neither(self):
        self.set("A", "123")
        self.register(own("A"), "--min", "2", "--max", "4", "--must", "rt", "--cant", "ap")
        self.set_fails("A", "EFI_INVALID_PARAMETER", "1")
        self.set_fails("A", "EFI_INVALID_PARAMETER", "12345")
        self.set_fails("A", "EFI_INVALID_PARAMETER", "12", "--append")
        self.set_fails("A", "EFI_INVALID_PARAMETER", "12", "-a", "nv,bs")
        self.set("A", "1234")
        self.run_it("delete", own("A"))

    def test_locked_now(self):
        self.set("A")
        self.register(own("A"), "--lock", "now")
        self.set_fails("A", "EFI_WRITE_PROTECTED", "y")
        self.fails("delete", own("A"), message=rf"{own('A')}: EFI_WRITE_PROTECTED: .*")
        self.assertEqual(self.text("get", own("A"), "--raw"), "x")

    def test_locked_on_create(self):
        self.register(own("A"), "--lock", "on-create")
        self.set("A")
        self.set_fails("A", "EFI_WRITE_PROTECTED", "y")

    def test_locked_on_the_state_of_another(self):
        self.register(own("A"), "--lock", own("S") + "=49")
        self.set("A", "1")
        self.set("S", "1")
        self.set_fails("A", "EFI_WRITE_PROTECTED")
        self.set("S", "2")
        self.set("A", "2")

    def test_wildcards_and_namespaces(self):
        self.register("*-" + OWN_GUID, "--lock", "now")
        self.register(own("V##"), "--max", "1")
        self.set("V0a")
        self.set_fails("V0a", "EFI_INVALID_PARAMETER", "12")
        self.set_fails("V0g", "EFI_WRITE_PROTECTED")
        self.run_it("set", "Timeout", "--data", "0500")

    def test_import_is_provisioning(self):
        self.set("A")
        exported = self.run_it("export", "--format", "json")
        self.register(own("A"), "--lock", "now")
        self.run_it("import", "--format", "json", "-", stdin=exported.replace(b'"78"', b'"79"'))
        self.assertEqual(self.text("get", own("A"), "--raw"), "y")


class LockTest(PolicyTest):
    def test_until_the_next_boot_nothing_is_registered(self):
        self.register(own("A"), "--lock", "now")
        self.run_it("policy", "lock")
        boot = uuid.UUID(BOOT_ID.read_text().strip())
        self.assertEqual(self.kept(), policy_file(entry("A", lock=1), boot))
        for words in ([own("B")], [own("A")]):
            self.fails("policy", "register", *words, message=r".*: EFI_WRITE_PROTECTED: .*")
        self.fails("policy", "lock", message="vars.fd: EFI_WRITE_PROTECTED: .*")
        self.set_fails("A", "EFI_WRITE_PROTECTED")
        self.assertEqual(self.kept(), policy_file(entry("A", lock=1), boot))

    def test_a_lock_of_another_boot_is_over(self):
        self.keep(policy_file(entry("A"), OTHER_BOOT))
        self.assertEqual(self.listed(), [f"{own('A')}  anything goes"])
        self.register(own("B"))
        self.assertEqual(self.kept(), policy_file(entry("A") + entry("B"), OTHER_BOOT))
        self.run_it("policy", "lock")
        self.fails("policy", "register", own("C"), message=r".*: EFI_WRITE_PROTECTED: .*")

    def test_without_policies_too(self):
        self.run_it("policy", "lock")
        self.fails("policy", "register", own("A"), message=r".*: EFI_WRITE_PROTECTED: .*")
        self.set("A")


class DamagedFileTest(PolicyTest):
    def test_nothing_is_written_and_everything_is_read(self):
        self.set("A")
        good = policy_file(entry("A", lock=1))
        twice = policy_file(entry("B") * 2)
        for content, problem in ((b"", "0 bytes, .*"), (good[:-1], "Crc .*"),
                                 (good[:20], "20 bytes, .*"), (b"x" + good[1:], "Magic .*"),
                                 (good[:8] + b"\2" + good[9:], "Version .*"),
                                 (twice, "Entries .*"), (policy_file(b"x"), "Entries .*"),
                                 (b"x" * 400000, ".*at.*|.*expected.*")):
            self.keep(content)
            line = rf".*vars\.fd\.policy: (?:{problem})"
            with self.keeps("vars.fd"), self.keeps("vars.fd.policy"):
                for words in (["set", own("B"), "--text", "x"], ["delete", own("A")], ["reclaim"]):
                    self.fails(*words, message=line)
                for words in (["policy", "list"], ["policy", "register", own("C")],
                              ["policy", "lock"]):
                    self.fails(*words, message=line)
                self.assertEqual(self.text("get", own("A"), "--raw"), "x")
                self.assertEqual(self.names(), [own("A")])
                for words in (["info"], ["check"], ["export", "--format", "json"]):
                    self.run_it(*words)

    def test_what_cannot_be_read_is_no_empty_list(self):
        self.path("vars.fd.policy").mkdir()
        self.set_fails_to_open("is not a regular file")
        self.path("vars.fd.policy").rmdir()
        os.mkfifo(self.path("vars.fd.policy"))
        self.set_fails_to_open("is not a regular file")

    def set_fails_to_open(self, problem):
        self.fails("set", own("A"), "--text", "x", message=rf".*vars\.fd\.policy.*{problem}.*")


class MountTest(PolicyTest):
    """The file system with policies; needs FUSE."""

    def setUp(self):
        super().setUp()
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.geteuid() != 0:
            script_test.missing("FUSE cannot be used here")
        script_test.need_program("fusermount3")

    def mount(self) -> str:
        """Mounts the store; gives what the shim says."""
        program = os.path.join(os.environ["EFISTORE_BINARY_DIR"], "efivarfs-shim", "efivarfs-shim")
        point = self.path("mounted")
        point.mkdir(exist_ok=True)
        done = subprocess.run([program, "--store", "vars.fd", str(point)], cwd=self.folder,
                              capture_output=True, timeout=MOUNT_TIMEOUT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.unmount)
        return done.stderr.decode()

    def unmount(self):
        point = self.path("mounted")
        if not os.path.ismount(point):
            return
        subprocess.run(["fusermount3", "-u", str(point)], check=True)
        # The lock of the store goes with the process.
        end = time.monotonic() + MOUNT_TIMEOUT_S
        while self.spawn("--store", "vars.fd", "list").returncode == FAILURE:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def write(self, name, content, *, attributes=7, create=True) -> str:
        """One write of a variable; "" or the name of its errno."""
        path = self.path("mounted") / own(name)
        flags = os.O_WRONLY | (os.O_CREAT if create else 0)
        try:
            if path.exists():
                subprocess.run([script_test.need_program("chattr"), "-i", str(path)], check=True)
            handle = os.open(path, flags, 0o644)
        except OSError as error:
            return "open: " + errno.errorcode[error.errno]
        try:
            os.write(handle, struct.pack("<I", attributes) + content)
            return ""
        except OSError as error:
            return errno.errorcode[error.errno]
        finally:
            os.close(handle)

    def test_policies_are_enforced(self):
        self.set("Now")
        self.register(own("Now"), "--lock", "now")
        self.register(own("Once"), "--lock", "on-create")
        self.register(own("Size#"), "--min", "2", "--max", "4", "--must", "rt")
        self.register(own("State"), "--lock", own("S") + "=49")
        self.assertEqual(self.mount(), "")
        self.assertEqual(self.write("Now", b"y"), "EROFS")
        with self.assertRaises(OSError) as caught:
            os.unlink(self.path("mounted") / own("Now"))
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.assertEqual(self.write("Once", b"1"), "")
        self.assertEqual(self.write("Once", b"2"), "EROFS")
        self.assertEqual(self.write("Size1", b"1"), "EINVAL")
        self.assertEqual(self.write("Size1", b"12"), "")
        self.assertEqual(self.write("Size2", b"12", attributes=3), "EINVAL")
        self.assertEqual(self.write("State", b"1"), "")
        self.assertEqual(self.write("S", b"1"), "")
        self.assertEqual(self.write("State", b"2"), "EROFS")
        self.assertEqual(self.write("Free", b"1"), "")
        self.unmount()
        self.assertEqual(self.text("get", own("Now"), "--raw"), "x")
        self.assertEqual(self.text("get", own("Once"), "--raw"), "1")

    def test_a_mounted_store_has_its_policies_changed_by_nobody(self):
        self.mount()
        for words in (["register", own("A")], ["lock"]):
            self.fails("policy", *words, message="vars.fd is in use by process .*")

    def test_with_a_damaged_file_it_is_mounted_for_reading_only(self):
        self.set("A")
        self.keep(b"broken")
        with self.keeps("vars.fd"):
            said = self.mount()
            self.assertRegex(said, r"\Aefivarfs-shim: vars\.fd is mounted for reading only: "
                                   r".*vars\.fd\.policy: 6 bytes, .*\n\Z")
            self.assertEqual((self.path("mounted") / own("A")).read_bytes(), b"\7\0\0\0x")
            self.assertEqual(self.write("B", b"1"), "open: EROFS")
            self.unmount()


if __name__ == "__main__":
    script_test.main()
