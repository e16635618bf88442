#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Programs made for the kernel's efivarfs, on a mounted store."""

import os
import re
import struct
import subprocess
import sys
import unittest

from conformance.files import GLOBAL, VENDOR, Files
from shim_mount import Mount, require_fuse_and_root, require_program

PROGRAMS = ("efivar", "efibootmgr", "lsattr", "chattr", "sfdisk", "losetup")


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.mount = Mount()
        self.addCleanup(self.mount.close)
        self.mount.start()
        self.files = Files(self.mount.path)
        self.scratch = self.mount.directory
        # libefivar compares this with the path it makes, so the slash counts.
        self.environment = dict(os.environ, EFIVARFS_PATH=self.mount.path + "/")

    def run_client(self, *command, status=0):
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(result.returncode, status, f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def variable(self, name, guid=GLOBAL):
        with open(self.files.path(name, guid), "rb", buffering=0) as file:
            return file.read(1 << 16)


class EfivarTest(ClientTest):
    NAME = VENDOR.decode() + "-Tested"

    def write(self, data, *options):
        path = os.path.join(self.scratch, "data")
        with open(path, "wb") as file:
            file.write(data)
        # Without -t efivar asks for no attributes at all, which deletes.
        self.run_client("efivar", "-n", self.NAME, "-f", path, "-t", "7", *options)

    def test_it_writes_prints_and_lists(self):
        self.write(b"hello", "-w")
        self.assertEqual(self.variable("Tested", VENDOR), struct.pack("<I", 7) + b"hello")
        self.assertIn(self.NAME, self.run_client("efivar", "-l").splitlines())
        printed = self.run_client("efivar", "-p", "-n", self.NAME)
        self.assertIn("hello", printed)
        self.assertIn("Runtime Service Access", printed)

    def test_it_replaces_and_appends(self):
        self.write(b"first value", "-w")
        self.write(b"second", "-w")
        self.assertEqual(self.variable("Tested", VENDOR)[4:], b"second")
        self.write(b" and more", "-a")
        self.assertEqual(self.variable("Tested", VENDOR)[4:], b"second and more")

    def test_it_leaves_files_immutable(self):
        self.write(b"hello", "-w")
        self.assertEqual(self.files.get_flags(self.files.path("Tested")), "0x10")


class EfibootmgrTest(ClientTest):
    def disk(self):
        """A block device with an EFI system partition, which efibootmgr -c insists on."""
        image = os.path.join(self.scratch, "disk.img")
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["sfdisk", "-q", image], input="label: gpt\n,,U\n", text=True, check=True)
        loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True,
                              check=False)
        if loop.returncode != 0:
            self.skipTest(f"no loop device: {loop.stderr.strip()}")
        device = loop.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device], check=True)
        return device

    def add_entry(self, number, label):
        """An entry that needs no disk."""
        path = (b"\x04\x04" + struct.pack("<H", 4 + 2 * 7) + "\\a.efi\0".encode("utf-16le")
                + b"\x7f\xff\x04\0")
        option = struct.pack("<IH", 1, len(path)) + (label + "\0").encode("utf-16le") + path
        self.files.create(self.files.path(f"Boot{number:04X}", GLOBAL),
                          struct.pack("<I", 7) + option)

    def order(self):
        match = re.search(r"^BootOrder: (.*)$", self.run_client("efibootmgr"), re.MULTILINE)
        return match.group(1) if match else None

    def test_it_creates(self):
        disk = self.disk()
        for label in ("First", "Second"):
            self.run_client("efibootmgr", "-c", "-d", disk, "-p", "1", "-L", label, "-l",
                            "\\EFI\\a.efi")
        self.assertEqual(self.order(), "0001,0000")
        self.mount.remount()
        listed = self.run_client("efibootmgr", "-v")
        self.assertRegex(listed, r"Boot0000\* First\s+HD\(1,GPT,.*\)/File\(\\EFI\\a\.efi\)")
        self.assertIn("Boot0001* Second", listed)

    def test_it_lists(self):
        self.add_entry(1, "One")
        self.run_client("efibootmgr", "-o", "0001")
        listed = self.run_client("efibootmgr", "-v")
        self.assertRegex(listed, r"Boot0001\* One\s+File\(\\a\.efi\)")

    def test_it_sets_the_order(self):
        self.add_entry(1, "One")
        self.add_entry(2, "Two")
        self.run_client("efibootmgr", "-o", "0002,0001")
        self.assertEqual(self.variable("BootOrder"), struct.pack("<IHH", 7, 2, 1))
        self.assertEqual(self.order(), "0002,0001")

    def test_it_sets_and_clears_the_next_boot(self):
        self.add_entry(1, "One")
        self.run_client("efibootmgr", "-n", "0001")
        self.assertEqual(self.variable("BootNext"), struct.pack("<IH", 7, 1))
        self.run_client("efibootmgr", "-N")
        self.assertEqual(self.files.state(self.files.path("BootNext", GLOBAL)), "absent")

    def test_it_sets_the_timeout(self):
        self.run_client("efibootmgr", "-t", "7")
        self.assertEqual(self.variable("Timeout"), struct.pack("<IH", 7, 7))

    def test_it_deletes(self):
        self.add_entry(1, "One")
        self.add_entry(2, "Two")
        self.run_client("efibootmgr", "-o", "0001,0002")
        self.run_client("efibootmgr", "-b", "0001", "-B")
        self.assertEqual(self.files.state(self.files.path("Boot0001", GLOBAL)), "absent")
        self.assertEqual(self.order(), "0002")
        self.mount.remount()
        self.assertEqual(self.order(), "0002")


class AttributeToolsTest(ClientTest):
    def test_chattr_and_lsattr(self):
        path = os.fsdecode(self.files.path("flagged"))
        self.files.create(os.fsencode(path))
        self.assertRegex(self.run_client("lsattr", path), r"^----i-+ ")
        self.run_client("chattr", "-i", path)
        self.assertRegex(self.run_client("lsattr", path), r"^-+ ")
        self.run_client("chattr", "+i", path)
        self.assertRegex(self.run_client("lsattr", path), r"^----i-+ ")
        result = subprocess.run(["chattr", "+a", path], capture_output=True, check=False)
        self.assertNotEqual(result.returncode, 0, "only the immutable flag exists")


class EfitoolsTest(ClientTest):
    """efi-updatevar believes only in a mount of type "efivarfs", by what `mount -l` prints; a `mount`
    in its PATH calls ours that."""

    PROGRAMS = ("efi-updatevar", "efi-readvar", "cert-to-efi-sig-list", "sign-efi-sig-list",
                "openssl", "chattr")

    def setUp(self):
        for name in self.PROGRAMS:
            require_program(name)
        super().setUp()
        folder = os.path.join(self.scratch, "bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "mount"), "w", encoding="ascii") as script:
            script.write("#!/bin/sh\n"
                         f"exec {require_program('mount')} \"$@\" | "
                         "sed 's/ type fuse.efivarfs-shim / type efivarfs /'\n")
        os.chmod(script.name, 0o755)
        self.environment["PATH"] = folder + ":" + self.environment["PATH"]
        for name in ("PK", "KEK", "db", "other"):
            self.run_client("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256",
                            "-subj", f"/CN={name}", "-days", "30", "-keyout", self.file(name, "key"),
                            "-out", self.file(name, "crt"))
            self.run_client("cert-to-efi-sig-list", self.file(name, "crt"), self.file(name, "esl"))

    def file(self, name, kind):
        return os.path.join(self.scratch, f"{name}.{kind}")

    def request(self, variable, content, signer, *options):
        """A request for `variable` of 2099: efi-updatevar's own stamps lie a year ahead."""
        path = self.file(f"{variable}-{content}-{signer}", "auth")
        self.run_client("sign-efi-sig-list", "-t", "2099-01-01 00:00:00", *options, "-k",
                        self.file(signer, "key"), "-c", self.file(signer, "crt"), variable,
                        self.file(content, "esl"), path)
        return path

    def update(self, variable, *words, status=0):
        # As on the kernel's efivarfs, keys are immutable until somebody says otherwise.
        for name in os.listdir(self.mount.path):
            if name.startswith(variable + "-"):
                self.run_client("chattr", "-i", os.path.join(self.mount.path, name))
        self.run_client("efi-updatevar", *words, variable, status=status)

    def test_it_enrolls_keys_and_changes_them_by_signature(self):
        self.update("db", "-e", "-f", self.file("db", "esl"))
        self.update("KEK", "-e", "-f", self.file("KEK", "esl"))
        self.assertEqual(self.variable("SetupMode")[4:], b"\1")
        self.update("PK", "-f", self.request("PK", "PK", "PK"))
        self.assertEqual(self.variable("SetupMode")[4:], b"\0")
        self.assertIn("CN=KEK", self.run_client("efi-readvar", "-v", "KEK"))

        self.update("db", "-f", self.request("db", "other", "other"), status=1)
        self.assertIn("CN=db", self.run_client("efi-readvar", "-v", "db"))
        self.update("db", "-f", self.request("db", "other", "KEK"))
        self.assertIn("CN=other", self.run_client("efi-readvar", "-v", "db"))
        self.update("KEK", "-f", self.request("KEK", "other", "KEK"), status=1)

        # Whether firmware boots securely it says anew at each boot.
        self.assertEqual(self.variable("SecureBoot")[4:], b"\0")
        self.mount.unmount()
        self.mount.start()
        self.assertEqual(self.variable("SecureBoot")[4:], b"\1")
        self.assertEqual(self.variable("SetupMode")[4:], b"\0")


if __name__ == "__main__":
    require_fuse_and_root()
    for name in PROGRAMS:
        require_program(name)
    sys.exit(not unittest.main(exit=False, verbosity=2).result.wasSuccessful())
