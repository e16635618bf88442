# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore secureboot: keys, modes and what is said of them, with efitools and openssl beside it."""

import stat

import command
import script_test
from command import FAILURE, GLOBAL_GUID, OWN_GUID, USAGE

DATABASES_GUID = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
FILES = ["GUID"] + [f"{name}.{kind}" for name in ("KEK", "PK", "db")
                    for kind in ("auth", "crt", "der", "esl", "key")]


class SecureBootTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")

    def generate(self, folder="keys", *options):
        self.run_it("secureboot", "generate", folder, "--type", "ec-p256", *options)

    def enroll_all(self):
        self.generate()
        self.run_it("secureboot", "enroll", "--all", "keys")

    def status(self, store="vars.fd"):
        return self.json("secureboot", "status", store=store)

    def subjects(self, name: str) -> list[str]:
        return [signature["certificate"]["subject"]
                for signature in self.status()["variables"][name]["signatures"]]

    def tool(self, name: str, *words):
        return script_test.run([script_test.need_program(name), *words], cwd=self.folder)

    def by(self, name: str, folder="keys"):
        return ["--key", f"{folder}/{name}.key", "--cert", f"{folder}/{name}.crt"]

    # generate

    def test_generate_makes_keys_that_openssl_and_efitools_read(self):
        self.generate("new/keys", "--name", "A Board", "--days", "30", "--owner", OWN_GUID)
        self.assertEqual(sorted(p.name for p in self.path("new/keys").iterdir()), sorted(FILES))
        self.assertEqual(self.path("new/keys/GUID").read_text(), OWN_GUID + "\n")
        for name in ("PK", "KEK", "db"):
            shown = self.tool("openssl", "x509", "-in", f"new/keys/{name}.crt", "-noout",
                              "-subject", "-nameopt", "RFC2253").stdout.decode()
            self.assertEqual(shown, f"subject=CN=A Board {name}\n")
            self.tool("openssl", "pkey", "-in", f"new/keys/{name}.key", "-noout", "-check")
            self.assertEqual(
                self.tool("openssl", "x509", "-in", f"new/keys/{name}.crt", "-outform", "DER").stdout,
                self.path(f"new/keys/{name}.der").read_bytes())
            self.tool("cert-to-efi-sig-list", "-g", OWN_GUID, f"new/keys/{name}.crt", "theirs.esl")
            self.assertEqual(self.path("theirs.esl").read_bytes(),
                             self.path(f"new/keys/{name}.esl").read_bytes())

    def test_private_keys_are_their_owners_only(self):
        self.generate()
        for name in ("PK", "KEK", "db"):
            mode = stat.S_IMODE(self.path(f"keys/{name}.key").stat().st_mode)
            self.assertEqual(mode, 0o600)

    def test_generate_replaces_nothing(self):
        self.path("keys").mkdir()
        self.path("keys/db.esl").write_bytes(b"mine")
        self.fails("secureboot", "generate", "keys",
                   message="keys/db.esl: it is there already, and keys are not replaced")
        self.assertEqual([p.name for p in self.path("keys").iterdir()], ["db.esl"])

    def test_generate_takes_every_type(self):
        for kind, shown in (("rsa2048", "RSA-2048"), ("rsa3072", "RSA-3072"),
                            ("ec-p384", "EC-384"), ("ec-p521", "EC-521")):
            self.run_it("secureboot", "generate", kind, "--type", kind)
            store = f"{kind}.fd"
            self.run_it("create", store=store)
            self.run_it("secureboot", "enroll", "--all", kind, store=store)
            entry = self.status(store)["variables"]["PK"]["signatures"][0]
            self.assertEqual(entry["certificate"]["key"], shown)
        self.fails("secureboot", "generate", "x", "--type", "rsa1024", code=USAGE,
                   message="--type: .*")

    # enroll and status

    def test_a_blank_store_goes_to_user_mode(self):
        before = self.status()
        self.assertEqual((before["mode"], before["setup_mode"], before["secure_boot"]),
                         ("setup", True, False))
        self.assertEqual(set(before["variables"].values()), {None})
        self.enroll_all()
        after = self.status()
        self.assertEqual((after["mode"], after["setup_mode"], after["secure_boot"]),
                         ("user", False, True))
        self.assertEqual(self.subjects("PK"), ["CN=efistore PK"])
        self.assertEqual(self.subjects("KEK"), ["CN=efistore KEK"])
        self.assertEqual(self.subjects("db"), ["CN=efistore db"])
        self.assertEqual(self.text("check").splitlines()[-1], self.text("check").splitlines()[-1])

    def test_status_tells_what_openssl_tells(self):
        self.enroll_all()
        entry = self.status()["variables"]["PK"]["signatures"][0]
        self.assertEqual(entry["type"], "X509")
        self.assertEqual(entry["owner"] + "\n", self.path("keys/GUID").read_text())
        shown = self.tool("openssl", "x509", "-in", "keys/PK.crt", "-noout", "-serial",
                          "-fingerprint", "-sha256").stdout.decode()
        self.assertIn(entry["certificate"]["serial"].replace(":", ""), shown)
        self.assertIn(entry["certificate"]["sha256"].upper(), shown.replace(":", ""))
        text = self.text("secureboot", "status")
        for part in ("mode          user\n", "SecureBoot    1\n", "PK: 1 X509, set ",
                     "  CN=efistore PK\n", entry["certificate"]["serial"], "dbx: none\n"):
            self.assertIn(part, text)

    def test_status_of_a_normal_store_is_refused(self):
        self.run_it("create", "--format", "normal", store="n.fd")
        self.fails("secureboot", "status", store="n.fd",
                   message="n.fd: the store is in the normal format, which has no secure boot")

    def test_enroll_all_or_nothing(self):
        self.generate()
        self.path("keys/PK.auth").write_bytes(b"\0" * 60)
        with self.keeps("vars.fd"):
            self.fails("secureboot", "enroll", "--all", "keys", message="keys/PK.auth: .*")
        self.path("keys/PK.auth").write_bytes(self.path("keys/KEK.auth").read_bytes()[:-1] + b"\0")
        before = self.contents()
        self.spawn("--store", "vars.fd", "secureboot", "enroll", "--all", "keys")
        if self.status()["mode"] == "setup":
            self.assertEqual(self.contents(), before)

    def test_every_kind_of_file_in_setup_mode(self):
        self.generate()
        for kind in ("crt", "der", "esl", "auth"):
            self.run_it("secureboot", "enroll", "db", f"keys/db.{kind}")
            self.assertEqual(self.subjects("db"), ["CN=efistore db"], kind)
        self.run_it("secureboot", "enroll", "db", "keys/db.crt", "keys/KEK.esl", "--owner", OWN_GUID)
        self.assertEqual(self.subjects("db"), ["CN=efistore db", "CN=efistore KEK"])
        owners = [s["owner"] for s in self.status()["variables"]["db"]["signatures"]]
        self.assertEqual(owners, [OWN_GUID, self.path("keys/GUID").read_text().strip()])

    def test_in_user_mode_who_may_signs(self):
        self.enroll_all()
        self.generate("more", "--name", "more")
        self.fails("secureboot", "enroll", "db", "more/db.crt",
                   message="db: EFI_SECURITY_VIOLATION.*")
        self.fails("secureboot", "enroll", "db", "more/db.crt", *self.by("db"),
                   message="db: EFI_SECURITY_VIOLATION.*not signed by the platform key.*")
        self.run_it("secureboot", "enroll", "db", "more/db.crt", "--append", *self.by("KEK"))
        self.assertEqual(self.subjects("db"), ["CN=efistore db", "CN=more db"])
        self.run_it("secureboot", "enroll", "db", "more/db.crt", *self.by("KEK"))
        self.assertEqual(self.subjects("db"), ["CN=more db"])
        self.fails("secureboot", "enroll", "KEK", "more/KEK.crt", *self.by("KEK"),
                   message="KEK: EFI_SECURITY_VIOLATION.*")
        self.run_it("secureboot", "enroll", "KEK", "more/KEK.crt", "--append", *self.by("PK"))
        self.run_it("secureboot", "enroll", "PK", "more/PK.crt", *self.by("PK"))
        self.assertEqual(self.subjects("PK"), ["CN=more PK"])

    def test_requests_of_efitools_are_taken_once(self):
        self.enroll_all()
        self.tool("sign-efi-sig-list", "-k", "keys/KEK.key", "-c", "keys/KEK.crt", "db",
                  "keys/PK.esl", "theirs.auth")
        # efitools stamps with the second of the machine's clock, as `generate` did.
        done = self.spawn("--store", "vars.fd", "secureboot", "enroll", "db", "theirs.auth")
        if done.returncode != 0:
            self.assertIn(b"is not later than", done.stderr)
            self.tool("sign-efi-sig-list", "-t", "2099-01-01 00:00:00", "-k", "keys/KEK.key", "-c",
                      "keys/KEK.crt", "db", "keys/PK.esl", "theirs.auth")
            self.run_it("secureboot", "enroll", "db", "theirs.auth")
        self.assertEqual(self.subjects("db"), ["CN=efistore PK"])
        self.fails("secureboot", "enroll", "db", "theirs.auth",
                   message="db: EFI_SECURITY_VIOLATION.*is not later than.*")

    def test_appended_hashes_are_not_doubled(self):
        self.enroll_all()
        self.path("program").write_bytes(b"program")
        esl = bytes.fromhex("2616c4c14c509240aca941f936934328" "4c000000" "00000000" "30000000")
        self.path("dbx.esl").write_bytes(esl + bytes(16) + b"\7" * 32)
        for _ in range(2):
            self.run_it("secureboot", "enroll", "dbx", "dbx.esl", "--append", *self.by("KEK"))
        signatures = self.status()["variables"]["dbx"]["signatures"]
        self.assertEqual([(s["type"], s["data"]) for s in signatures], [("SHA256", "07" * 32)])
        self.assertIn("dbx: 1 SHA256, set ", self.text("secureboot", "status"))

    def test_files_that_are_none_of_these(self):
        self.generate()
        for name, data, message in (
                ("empty", b"", "the file is empty"),
                ("text", b"hello", "a certificate .* was expected"),
                ("pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ".*"),
                ("key", self.path("keys/db.key").read_bytes(), ".*"),
                ("der", self.path("keys/db.der").read_bytes() + b"\0", ".*")):
            self.path(name).write_bytes(data)
            with self.keeps("vars.fd"):
                self.fails("secureboot", "enroll", "db", name, message=f"{name}: {message}")
        self.fails("secureboot", "enroll", "db", "none", message="none: .*")
        self.fails("secureboot", "enroll", "moklist", "keys/db.crt", code=USAGE,
                   message='"moklist": PK, KEK, db, dbx, dbt or dbr was expected')
        self.fails("secureboot", "enroll", "db", code=USAGE, message=".* --all DIR")
        self.fails("secureboot", "enroll", "--all", "keys", "--owner", OWN_GUID, code=USAGE,
                   message="--all stands alone: .*")
        self.fails("secureboot", "enroll", "db", "keys/db.crt", "--owner", "me", code=USAGE,
                   message='--owner: "me" is no GUID')
        self.fails("secureboot", "enroll", "db", "keys/db.crt", "--key", "keys/db.key", code=USAGE,
                   message=".*--cert.*")
        self.fails("secureboot", "enroll", "db", "keys/db.auth", *self.by("KEK"), code=USAGE,
                   message="--key: keys/db.auth is signed already")
        self.fails("secureboot", "enroll", "db", "keys/db.auth", "keys/db.esl",
                   message="keys/db.auth: a signed request stands alone, without further files")
        self.fails("secureboot", code=USAGE, message=".*")

    def test_key_and_certificate_belong_together(self):
        self.enroll_all()
        self.fails("secureboot", "enroll", "db", "keys/db.crt", "--key", "keys/KEK.key", "--cert",
                   "keys/PK.crt", message=".*")

    def test_an_encrypted_key_is_refused_without_asking(self):
        self.enroll_all()
        self.tool("openssl", "pkey", "-in", "keys/KEK.key", "-aes256", "-passout", "pass:secret",
                  "-out", "encrypted.key")
        self.fails("secureboot", "enroll", "db", "keys/db.crt", "--key", "encrypted.key", "--cert",
                   "keys/KEK.crt", message="encrypted.key: .*encrypted.*")

    # mode

    def test_the_modes(self):
        self.enroll_all()
        mode = lambda *words: self.run_it("secureboot", "mode", *words)
        mode("user")
        mode("deployed")
        self.assertEqual(self.status()["mode"], "deployed")
        self.fails("secureboot", "mode", "audit",
                   message="from deployed to audit mode: EFI_WRITE_PROTECTED.*")
        self.fails("secureboot", "mode", "user",
                   message="from deployed to user mode: EFI_WRITE_PROTECTED.*at the machine.*")
        mode("user", "--physically-present")
        mode("audit")
        self.assertEqual(self.status()["mode"], "audit")
        self.assertIsNone(self.status()["variables"]["PK"])
        self.fails("secureboot", "mode", "setup", "--physically-present",
                   message="audit mode ends with a platform key: enroll one")
        self.run_it("secureboot", "enroll", "PK", "keys/PK.crt")
        self.assertEqual(self.status()["mode"], "deployed")
        self.fails("secureboot", "mode", "none", code=USAGE, message=".*")

    def test_setup_mode_by_signature_or_presence(self):
        self.enroll_all()
        self.fails("secureboot", "mode", "setup", code=USAGE,
                   message="setup mode needs PK's --key and --cert, or --physically-present")
        self.fails("secureboot", "mode", "setup", *self.by("KEK"),
                   message="PK: EFI_SECURITY_VIOLATION.*")
        self.run_it("secureboot", "mode", "setup", *self.by("PK"))
        self.assertEqual(self.status()["mode"], "setup")
        self.run_it("secureboot", "enroll", "PK", "keys/PK.crt")
        self.run_it("secureboot", "mode", "setup", "--physically-present")
        self.assertEqual(self.status()["mode"], "setup")
        self.assertEqual(self.subjects("KEK"), ["CN=efistore KEK"])
        self.assertEqual(self.contents().get(
            "CustomMode-c076ec0c-7028-4399-a072-71ee5c448b9f", (3, "00", None))[1], "00")

    # apply

    def apply(self, text: str, **options):
        self.path("changes.json").write_text(text)
        return self.run_it("apply", "changes.json", **options)

    def test_apply_makes_all_changes(self):
        self.run_it("set", "Boot0007", "--data", "010000000400410000007fff0400")
        self.path("option.bin").write_bytes(bytes.fromhex("010000000400410000007fff0400"))
        self.apply("""{"changes": [
            {"name": "Boot0001", "file": "option.bin"},
            {"name": "BootOrder", "data": "0100"},
            {"name": "Boot0007", "delete": true},
            {"name": "Note", "guid": "%s", "attributes": "nv,bs", "utf16": "hi"},
            {"name": "Note", "guid": "%s", "append": true, "data": "ff"},
            {"name": "Text-%s", "attributes": 7, "text": "x"}]}""" % ((OWN_GUID,) * 3))
        contents = self.contents()
        self.assertEqual(sorted(contents), sorted([
            f"Boot0001-{GLOBAL_GUID}", f"BootOrder-{GLOBAL_GUID}", f"Note-{OWN_GUID}",
            f"Text-{OWN_GUID}"]))
        self.assertEqual(contents[f"Note-{OWN_GUID}"], (3, "680069000000ff", None))

    def test_apply_makes_none_if_one_is_refused(self):
        with self.keeps("vars.fd"):
            self.path("changes.json").write_text("""{"changes": [
                {"name": "Timeout", "data": "0500"}, {"name": "BootOrder", "data": "010"}]}""")
            self.fails("apply", "changes.json", message=r"changes.json: changes\[1\].data: pairs of "
                       "hexadecimal digits was expected")
            self.path("changes.json").write_text("""{"changes": [
                {"name": "Timeout", "data": "0500"}, {"name": "BootOrder", "data": "01"}]}""")
            self.fails("apply", "changes.json",
                       message="vars.fd: EFI_INVALID_PARAMETER.*change 2 of 2, BootOrder-.*")

    def test_apply_says_what_is_wrong_where(self):
        for text, message in (
                ("", "changes.json: .*"),
                ("[]", 'changes.json: an object with an array "changes" was expected'),
                ('{"changes": 1}', 'changes.json: an object with an array "changes" was expected'),
                ('{"changes": [1]}', r"changes.json: changes\[0\]: an object was expected"),
                ('{"changes": [{}]}', r"changes.json: changes\[0\].name: a string was expected"),
                ('{"changes": [{"name": "A", "dta": ""}]}',
                 r'changes.json: changes\[0\]: there is no key "dta"'),
                ('{"changes": [{"name": "A"}]}', r"changes.json: changes\[0\]: one of .*"),
                ('{"changes": [{"name": "A", "data": "", "text": ""}]}',
                 r"changes.json: changes\[0\]: one of .*"),
                ('{"changes": [{"name": "A", "delete": true, "data": "00"}]}',
                 r"changes.json: changes\[0\]: one of .*"),
                ('{"changes": [{"name": "A", "delete": 1}]}',
                 r"changes.json: changes\[0\].delete: true or false was expected"),
                ('{"changes": [{"name": "A", "guid": "x", "data": "00"}]}',
                 r"changes.json: changes\[0\].guid: .*"),
                ('{"changes": [{"name": "A", "attributes": "nv,xx", "data": "00"}]}',
                 r"changes.json: changes\[0\].attributes: .*"),
                ('{"changes": [{"name": "A", "attributes": "bs", "data": "00"}]}',
                 r"changes.json: changes\[0\].attributes: nv .*"),
                ('{"changes": [{"name": "A", "data": ""}]}',
                 r'changes.json: changes\[0\]: a variable cannot be without data; "delete" .*'),
                ('{"changes": [{"name": "A", "file": "-"}]}', ".*/-: .*"),
                ('{"changes": [{"name": "A", "name": "B", "data": "00"}]}',
                 'changes.json: the key "name" is there twice in one object'),
                ('{"changes": [{"name": "A", "file": "none"}]}', ".*none: .*")):
            self.path("changes.json").write_text(text)
            with self.keeps("vars.fd"):
                self.fails("apply", "changes.json", message=message)


if __name__ == "__main__":
    script_test.main()
