# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Secure boot as efistore sets it up, before the eyes of real EDK2 firmware, and the reverse."""

import json
import pathlib

import ovmf
import script_test
import support
from support import BOOT_SERVICE, GLOBAL_GUID, NON_VOLATILE, RUNTIME, Store, Variable

DATABASES_GUID = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
CERTDB_GUID = "d9bee56e-75dc-49d9-b4d7-b534210f637a"
OWN_GUID = "c0ffee00-1234-4321-8765-0123456789ab"
# The shell in OVMF's flash (PI, FILE_GUID of ShellPkg/Application/Shell).
SHELL_GUID = "7C04A583-9E3E-4F1C-AD65-E05268D0B4D1"
UPDATE_VARS = pathlib.Path("/usr/lib/efitools/x86_64-linux-gnu/UpdateVars.efi")
PUBLIC = BOOT_SERVICE | RUNTIME
KEYS = [("PK", GLOBAL_GUID), ("KEK", GLOBAL_GUID), ("db", DATABASES_GUID)]
FALLBACK = "EFI/BOOT/BOOTX64.EFI"


class SecureBootTest(support.TestCase):

    def setUp(self):
        super().setUp()
        self.keys = self.folder / "keys"
        Store(self.folder / "none").command("secureboot", "generate", self.keys, "--name", "Test")

    def blank_store(self) -> Store:
        return Store(self.copy("/usr/share/OVMF/OVMF_VARS_4M.fd"))

    def shell(self) -> pathlib.Path:
        """The shell of OVMF as a file of its own, which can be signed."""
        extract = script_test.need_program("UEFIExtract")
        code = self.copy(ovmf.CODE_4M)
        dump = self.folder / "shell"
        script_test.run([extract, code, SHELL_GUID, "-o", dump, "-m", "body", "-t", "10"])
        body = dump / "body.bin"
        script_test.need_file(body)
        return body

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
        shell = self.shell()

        boot = ovmf.boot(store.image, code=ovmf.CODE_4M_SECURE,
                         files={FALLBACK: self.signed(shell, "db")})
        self.assertIsNotNone(boot.variables, f"the signed shell did not run:\n{boot.serial}")
        for name, value in (("SecureBoot", b"\1"), ("SetupMode", b"\0")):
            self.assertIn(Variable(name, GLOBAL_GUID, PUBLIC, value), boot.variables)
        self.assert_same_variables(enrolled, self.of(boot.variables, KEYS))
        self.assert_same_variables(boot.non_volatile, store.list())

        for application in (shell, self.signed(shell, "KEK")):
            refused = ovmf.boot(store.image, code=ovmf.CODE_4M_SECURE, give_up_at="Access Denied",
                                files={FALLBACK: application})
            self.assertIsNone(refused.variables, f"{application.name} ran")
            self.assertIn("Access Denied", refused.serial)

    def test_firmware_and_efistore_take_the_same_requests(self):
        """What OVMF makes of requests, generated here and signed by efitools, efistore makes."""
        script_test.need_file(UPDATE_VARS)
        note = self.folder / "note"
        note.write_bytes(b"private")
        hashes = self.folder / "hashes.esl"
        hashes.write_bytes(bytes.fromhex("26 16 c4 c1 4c 50 92 40 ac a9 41 f9 36 93 43 28"
                                         "4c000000 00000000 30000000") + bytes(16) + b"\x07" * 32)
        steps = [  # file on the FAT drive, variable, GUID, options, request, whether it is taken
            ("1.aut", "db", DATABASES_GUID, "", self.keys / "db.auth", True),
            ("2.aut", "KEK", GLOBAL_GUID, "", self.keys / "KEK.auth", True),
            ("3.aut", "PK", GLOBAL_GUID, "", self.keys / "PK.auth", True),
            ("4.aut", "dbx", DATABASES_GUID, "-a ",
             self.request("dbx", DATABASES_GUID, hashes, "db", append=True), False),
            ("5.aut", "dbx", DATABASES_GUID, "-a ",
             self.request("dbx", DATABASES_GUID, hashes, "KEK", append=True), True),
            ("6.aut", "Note", OWN_GUID, f"-g {OWN_GUID} ",
             self.request("Note", OWN_GUID, note, "db"), True),
        ]
        theirs = self.blank_store()
        boot = ovmf.boot(
            theirs.image,
            commands=[f"UpdateVars.efi {options}{name} {file}"
                      for file, name, _, options, _, _ in steps],
            files={"UpdateVars.efi": UPDATE_VARS} | {step[0]: step[4] for step in steps})
        self.assertIsNotNone(boot.variables, f"the shell did not run:\n{boot.serial}")

        ours = self.blank_store()
        for _, name, guid, options, request, taken in steps:
            attributes = "nv,bs,rt,at" + (",ap" if "-a" in options else "")
            done = ours.command("set", f"{name}-{guid}", "-a", attributes, "-f", request,
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
