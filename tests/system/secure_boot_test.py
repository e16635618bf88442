# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Secure boot as efistore sets it up, before the eyes of real EDK2 firmware, and the reverse."""

import json
import os
import pathlib

import ovmf
import script_test
import support
from support import BOOT_SERVICE, GLOBAL_GUID, NON_VOLATILE, RUNTIME, Store, Variable

DATABASES_GUID = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
CERTDB_GUID = "d9bee56e-75dc-49d9-b4d7-b534210f637a"
OWN_GUID = "c0ffee00-1234-4321-8765-0123456789ab"
SIGNED = NON_VOLATILE | BOOT_SERVICE | RUNTIME | 0x20
APPEND = 0x40
KEYS = [("PK", GLOBAL_GUID), ("KEK", GLOBAL_GUID), ("db", DATABASES_GUID)]
FALLBACK = "EFI/BOOT/BOOTX64.EFI"
HELLO_WORLD = pathlib.Path("/usr/lib/efitools/x86_64-linux-gnu/HelloWorld.efi")
# Of Linux's EFI stub, and of OVMF's boot manager.
SECURE = "UEFI Secure Boot is enabled"
REFUSED = "Security Violation"


class SecureBootTest(support.TestCase):

    def setUp(self):
        super().setUp()
        self.keys = self.folder / "keys"
        Store(self.folder / "none").command("secureboot", "generate", self.keys, "--name", "Test")

    def blank_store(self) -> Store:
        return Store(self.copy("/usr/share/OVMF/OVMF_VARS_4M.fd"))

    def kernel(self) -> pathlib.Path:
        """The distribution's kernel, an EFI application that says on the console how it found secure
        boot. The distribution has signed it; its key is none of ours."""
        folder = pathlib.Path(os.environ.get(
            "EFISTORE_GUEST_KERNEL_DIR", pathlib.Path(os.environ["EFISTORE_BINARY_DIR"]) /
            "guest-kernel")) / "6.1-amd64"
        fetched = script_test.run(
            [script_test.SOURCE_DIR / "tests" / "guest" / "fetch-kernel", "6.1-amd64", folder],
            check=False)
        if fetched.returncode == script_test.SKIPPED:
            script_test.missing(fetched.stderr.decode())
        return script_test.need_file(folder / "boot" / "vmlinuz")

    def signed(self, application: pathlib.Path, by: str) -> pathlib.Path:
        sbsign = script_test.need_program("sbsign")
        out = self.folder / f"{application.stem}-{by}.efi"
        script_test.run([sbsign, "--key", self.keys / f"{by}.key", "--cert",
                         self.keys / f"{by}.crt", "--output", out, application])
        return out

    def request(self, name: str, guid: str, payload: pathlib.Path, by: str, append=False):
        """A request that efitools has signed."""
        sign = script_test.need_program("sign-efi-sig-list")
        out = self.folder / f"{name}-{by}{'-append' if append else ''}.auth"
        script_test.run([sign, *(["-a"] if append else []), "-g", guid, "-k",
                         self.keys / f"{by}.key", "-c", self.keys / f"{by}.crt", name, payload,
                         out])
        return out

    @staticmethod
    def of(variables, names) -> list[Variable]:
        return [v for v in variables if (v.name, v.guid) in names]

    def test_firmware_boots_securely_with_keys_enrolled_here(self):
        store = self.blank_store()
        store.command("secureboot", "enroll", "--all", self.keys)
        enrolled = self.of(store.list(), KEYS)
        self.assertEqual(3, len(enrolled))
        kernel = self.kernel()
        boot = ovmf.boot(store.image, code=ovmf.CODE_4M_SECURE, give_up_at=SECURE,
                         files={FALLBACK: self.signed(kernel, "db")})
        self.assertIn(SECURE, boot.serial)
        # What the firmware found there it left, and what it added efistore reads.
        self.assert_same_variables(enrolled, self.of(store.list(), KEYS))
        self.assertIn("SecureBootEnable", [v.name for v in store.list()])

        # Unsigned, signed by somebody else, and by a key of ours that is in no db.
        for application in (HELLO_WORLD, kernel, self.signed(kernel, "KEK")):
            refused = ovmf.boot(store.image, code=ovmf.CODE_4M_SECURE, give_up_at=REFUSED,
                                files={FALLBACK: application})
            self.assertIn(REFUSED, refused.serial)
            self.assertNotIn("EFI stub", refused.serial)

    def test_firmware_and_efistore_take_the_same_requests(self):
        """What OVMF makes of requests, generated here and signed by efitools, efistore makes."""
        note = self.folder / "note"
        note.write_bytes(b"private")
        hashes = self.folder / "hashes.esl"
        hashes.write_bytes(bytes.fromhex("26 16 c4 c1 4c 50 92 40 ac a9 41 f9 36 93 43 28"
                                         "4c000000 00000000 30000000") + bytes(16) + b"\x07" * 32)
        steps = [  # variable, GUID, attributes, request, whether it is taken
            ("db", DATABASES_GUID, SIGNED, self.keys / "db.auth", True),
            ("KEK", GLOBAL_GUID, SIGNED, self.keys / "KEK.auth", True),
            ("PK", GLOBAL_GUID, SIGNED, self.keys / "PK.auth", True),
            ("dbx", DATABASES_GUID, SIGNED | APPEND,
             self.request("dbx", DATABASES_GUID, hashes, "db", append=True), False),
            ("dbx", DATABASES_GUID, SIGNED | APPEND,
             self.request("dbx", DATABASES_GUID, hashes, "KEK", append=True), True),
            ("Note", OWN_GUID, SIGNED, self.request("Note", OWN_GUID, note, "db"), True),
        ]
        dumps = {}
        for index, (name, guid, attributes, request, _) in enumerate(steps):
            dump = self.folder / f"{index}.bin"
            dump.write_bytes(ovmf.encode_dump(
                [Variable(name, guid, attributes, request.read_bytes())]))
            dumps[dump.name] = dump
        theirs = self.blank_store()
        boot = ovmf.boot(theirs.image, files=dumps,
                         commands=[f"dmpstore -all -l {dump}" for dump in dumps])
        self.assertIsNotNone(boot.variables, f"the shell did not run:\n{boot.serial}")

        ours = self.blank_store()
        for name, guid, attributes, request, taken in steps:
            done = ours.command("set", f"{name}-{guid}", "-a", f"{attributes:#x}", "-f", request,
                                check=False)
            self.assertEqual(0 if taken else 1, done.returncode, (name, done.stderr))
        compared = KEYS + [("dbx", DATABASES_GUID), ("Note", OWN_GUID), ("certdb", CERTDB_GUID)]
        made_there = self.of(boot.non_volatile, compared)
        self.assertEqual(len(compared), len(made_there), boot.serial)
        self.assert_same_variables(made_there, self.of(ours.list(), compared))
        for store in (theirs, ours):
            status = json.loads(store.command("secureboot", "status", "--json").stdout)
            self.assertEqual("user", status["mode"])
            self.assertEqual(
                "CN=Test PK",
                status["variables"]["PK"]["signatures"][0]["certificate"]["subject"])


if __name__ == "__main__":
    script_test.main()
