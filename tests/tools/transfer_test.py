# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore export and import."""

import hashlib
import lzma
import os

import command
import script_test
from command import FAILURE, GLOBAL_GUID, OWN_GUID, USAGE

FORMATS = ("json", "qemu", "ubootefi", "image")



def own(name: str) -> str:
    return f"{name}-{OWN_GUID}"


def document(*variables) -> bytes:
    """efistore's JSON of (name, attributes, data) in the tests' own namespace."""
    return command.json.dumps({"efistore": 1, "variables": [
        {"name": name, "guid": OWN_GUID, "attributes": attributes, "data": data}
        for name, attributes, data in variables]}).encode()


class TransferTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")

    def fill(self):
        self.run_it("set", own("A"), "--data", "0102")
        self.run_it("set", own("Only boot"), "-a", "nv,bs", "--text", "x")
        self.run_it("set", "Timeout", "--data", "0500")
        self.run_it("set", own("A"), "--data", "03")

    def import_json(self, *variables, **options):
        return self.run_it("import", "--format", "json", "-", stdin=document(*variables), **options)

    def test_every_format_carries_plain_variables(self):
        self.fill()
        expected = self.contents()
        for name in FORMATS:
            self.run_it("export", "--format", name, "-o", name)
            store = f"{name}.fd"
            self.run_it("create", "--layout", "aavmf", store=store)
            self.run_it("import", "--format", name, name, store=store)
            self.assertEqual(self.contents(store), expected, name)

    def test_output_never_replaces_the_store(self):
        self.fill()
        os.symlink(self.path("vars.fd"), self.path("link"))
        for words in (("get", own("A"), "-o", "vars.fd"), ("map", "--svg", "link"),
                      ("export", "--format", "image", "-o", "link"),
                      ("export", "--format", "json", "-o", "./vars.fd")):
            with self.keeps("vars.fd"):
                self.fails(*words, message=r"\S+ is the store itself; .*")

    def test_standard_streams_carry_the_same_bytes_as_files(self):
        self.fill()
        for name in FORMATS:
            self.run_it("export", "--format", name, "--output", "file")
            content = self.run_it("export", "--format", name)
            self.assertEqual(content, self.path("file").read_bytes(), name)
            self.run_it("create", "--force", store="other.fd")
            self.run_it("import", "--format", name, "-", store="other.fd", stdin=content)
            self.assertEqual(self.contents("other.fd"), self.contents(), name)

    def test_an_image_is_the_volumes_bytes(self):
        self.fill()
        with self.path("vars.fd").open("ab") as file:
            file.write(b"firmware" * 512)
        exported = self.run_it("export", "--format", "image")
        self.assertEqual(exported, self.path("vars.fd").read_bytes()[:0x84000])

    def test_keys_and_times_survive(self):
        image = script_test.need_file("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        self.path("keys.fd").write_bytes(image.read_bytes())
        expected = self.contents("keys.fd")
        self.assertIsNotNone(expected[f"PK-{GLOBAL_GUID}"][2])
        for name in ("json", "qemu", "ubootefi", "image"):
            self.run_it("export", "--format", name, "-o", name, store="keys.fd",
                        warnings=r"\A(efistore: exported with loss: .*\n)*\Z")
            self.run_it("create", "--force")
            self.run_it("import", "--format", name, name)
            self.assertEqual(self.contents(), expected, name)

    def test_real_files_of_other_programs_are_taken(self):
        for name, vector in (
                ("ubootefi", "vectors/store/u01-uboot-2025.01-real.ubootefi.var"),
                ("qemu", "vectors/store/q01-qemu-10.0.2-uefivars-sample.json")):
            file = script_test.need_shared(vector)
            self.run_it("create", "--force")
            if name == "qemu":
                # QEMU takes twice of what OVMF does, and its sample has such a variable.
                with self.keeps("vars.fd"):
                    self.fails("import", "--format", name, file,
                               message=f"{file}: Big-.*: name and data take 65032 bytes, .*")
                content = command.json.loads(file.read_bytes())
                content["variables"] = [each for each in content["variables"]
                                        if each["name"] != "Big"]
                file = self.path("smaller")
                file.write_text(command.json.dumps(content))
            added = self.json("import", "--format", name, file)["added"]
            self.assertGreater(added, 0)
            self.assertEqual(len(self.contents()), added)

    def test_images_of_any_layout_are_taken(self):
        for vector in ("v03-ovmf4m-boot-entries.fd.xz", "v06-ovmf2m-ms.fd.xz"):
            packed = script_test.need_shared(f"vectors/store/{vector}")
            self.path("source.fd").write_bytes(lzma.decompress(packed.read_bytes()))
            self.path("vars.fd").unlink()
            self.run_it("create", "--size", "1M")
            self.run_it("import", "--format", "image", "source.fd")
            self.assertEqual(self.contents(), self.contents("source.fd"))

    def test_import_merges(self):
        self.import_json(("A", 7, "01"), ("B", 7, "02"), ("C", 7, "03"))
        output = self.import_json(("D", 7, "04"), ("B", 3, "22"), ("C", 7, "03"))
        self.assertEqual(output, b"vars.fd: added 1, replaced 1, unchanged 1, removed 0\n")
        self.assertEqual(self.contents(), {own("A"): (7, "01", None), own("B"): (3, "22", None),
                                           own("C"): (7, "03", None), own("D"): (7, "04", None)})

    def test_import_replaces_all(self):
        self.import_json(("A", 7, "01"), ("B", 7, "02"), ("U", 7, "05"))
        report = self.json("import", "--format", "json", "--replace", "-",
                           stdin=document(("U", 7, "05"), ("B", 7, "22"), ("C", 7, "03")))
        self.assertEqual(report, {"store": "vars.fd", "added": 1, "replaced": 1, "unchanged": 1,
                                  "removed": 1, "not_imported": [], "imported_with_loss": []})
        self.assertEqual(self.names(), [own("U"), own("B"), own("C")])
        self.run_it("import", "--format", "json", "--replace", "-", stdin=document())
        self.assertEqual(self.names(), [])

    def test_importing_what_is_there_writes_nothing(self):
        self.fill()
        content = self.run_it("export", "--format", "json")
        with self.keeps("vars.fd"):
            for words in ([], ["--replace"]):
                self.run_it("import", "--format", "json", *words, "-", stdin=content)
            # Also when the source is the store itself.
            self.run_it("import", "--format", "image", "vars.fd")

    def test_the_store_is_free_while_an_import_is_awaited(self):
        with self.waiting_for("fifo", "import", "--format", "json", "fifo") as (process, writer):
            self.run_it("set", own("Early"), "--text", "x")
            writer.write(document(("Late", 7, "01")))
            writer.close()
            self.assertEqual(process.communicate(timeout=60),
                             (b"vars.fd: added 1, replaced 0, unchanged 0, removed 0\n", b""))
        self.assertEqual(self.names(), [own("Early"), own("Late")])

    def test_import_is_all_or_nothing(self):
        self.run_it("create", "--force", "--layout", "ovmf-2m")
        self.import_json(("A", 7, "01"))
        many = [(f"V{i}", 7, "00" * 4000) for i in range(20)]
        with self.keeps("vars.fd"):
            self.fails("import", "--format", "json", "-", stdin=document(*many),
                       message=r"vars\.fd: .*do not fit.*")

    def test_what_setvariable_could_never_have_made_is_refused(self):
        limit = 0x8400 - 60
        fits = "00" * (limit - 4)
        self.import_json(("A", 7, fits))
        for variable, problem in (
                (("E", 7, ""), "E-.*: no data, expected at least 1 byte"),
                (("B", 7, fits + "00"), f"B-.*: name and data take {limit + 1} bytes, expected at "
                                        f"most {limit} in a store of layout ovmf-4m"),
                (("N" * 40000, 7, "00"), "N{64}\u2026-.*: name and data take 80003 bytes, .*")):
            with self.keeps("vars.fd"):
                self.fails("import", "--format", "json", "-", stdin=document(("C", 7, "00"), variable),
                           message=f"standard input: {problem}")
        entry = {"name": "E", "guid": OWN_GUID, "attr": 7, "data": ""}
        self.path("file").write_text(command.json.dumps({"version": 2, "variables": [entry]}))
        with self.keeps("vars.fd"):
            self.fails("import", "--format", "qemu", "file", message="file: E-.*: no data, .*")

    def test_limits_are_those_of_the_store_that_is_written(self):
        self.import_json(("A", 7, "00" * 0x2000))
        self.run_it("export", "--format", "ubootefi", "-o", "file")
        self.run_it("create", "--layout", "ovmf-2m", store="small.fd")
        with self.keeps("small.fd"):
            for name, file in (("ubootefi", "file"), ("image", "vars.fd")):
                self.fails("import", "--format", name, file, store="small.fd",
                           message=rf"{file}: A-.*: name and data take 8196 bytes, expected at most "
                                   r"8132 in a store of layout ovmf-2m")

    def test_the_normal_format_has_no_authenticated_variables(self):
        self.run_it("create", "--force", "--format", "normal")
        with self.keeps("vars.fd"):
            self.fails("import", "--format", "json", "-", stdin=document(("A", 0x27, "00")),
                       message="standard input: A-.*: attributes nv,bs,rt,at, .* normal format .*")

    def test_what_a_store_cannot_keep_is_listed(self):
        listed = self.run_it(
            "import", "--format", "json", "-",
            stdin=document(("Volatile", 6, "01"), ("Append", 0x47, "02"), ("Kept", 7, "03"),
                           ("None", 1, "04"), ("Runtime", 5, "05")),
            warnings=rf"\Aefistore: not imported: {own('Volatile')}: it is volatile\n"
                     rf"efistore: not imported: {own('Append')}: .*attributes nv,bs,rt,ap\n"
                     rf"efistore: not imported: {own('None')}: .*attributes nv\n"
                     rf"efistore: not imported: {own('Runtime')}: .*attributes nv,rt\n\Z")
        self.assertIn(b"added 1", listed)
        self.assertEqual(self.names("--all"), [own("Kept")])

    def test_what_a_format_cannot_carry_is_listed(self):
        entry = {"name": "Counted", "guid": OWN_GUID, "attributes": 7, "data": "01",
                 "monotonic_count": 5}
        self.run_it("import", "--format", "json", "-",
                    stdin=command.json.dumps({"efistore": 1, "variables": [entry]}).encode())
        for name in ("qemu", "ubootefi"):
            sentence = f"{own('Counted')}: monotonic count 5 left out"
            loss = rf"\Aefistore: exported with loss: {sentence}\n\Z"
            self.run_it("export", "--format", name, warnings=loss)
            report = self.json("export", "--format", name, "-o", "out", warnings=loss)
            self.assertEqual(report,
                             {"store": "vars.fd", "format": name, "file": "out", "variables": 1,
                              "size": self.path("out").stat().st_size, "not_exported": [],
                              "exported_with_loss": [sentence]})
        self.run_it("export", "--format", "json")

    def test_a_variable_that_a_format_cannot_carry_is_not_exported(self):
        entry = {"name": "\ufffdx", "name_utf16": "00d87800", "guid": OWN_GUID, "attributes": 7,
                 "data": "01"}
        self.run_it("import", "--format", "json", "-",
                    stdin=command.json.dumps({"efistore": 1, "variables": [entry]}).encode())
        sentence = f"{own(chr(0xfffd) + 'x')}: the name has a surrogate without its partner"
        report = self.json("export", "--format", "qemu", "-o", "out",
                           warnings=rf"\Aefistore: not exported: {sentence}\n\Z")
        self.assertEqual((report["not_exported"], report["exported_with_loss"]), ([sentence], []))
        self.assertEqual(command.json.loads(self.path("out").read_bytes())["variables"], [])

    def test_what_is_lost_of_variables_that_are_imported_is_listed(self):
        entry = {"name": "A", "guid": OWN_GUID, "attr": 7, "data": "01", "digest": "ab" * 32}
        document = command.json.dumps(
            {"version": 2, "variables": [entry, {**entry, "name": "V", "attr": 6}]}).encode()
        document = document.replace(b', "digest": "' + b"ab" * 32 + b'"}]', b"}]")
        report = self.json(
            "import", "--format", "qemu", "-", stdin=document,
            warnings=r"\Aefistore: not imported: variables\[1\]: V-.*: it is volatile\n"
                     r"efistore: imported with loss: variables\[0\]\.digest: .*\n\Z")
        self.assertEqual((len(report["not_imported"]), len(report["imported_with_loss"])), (1, 1))
        self.assertEqual(self.names("--all"), [own("A")])

    def test_names_that_are_no_text_survive(self):
        entry = {"name": "\ufffdx", "name_utf16": "00d87800", "guid": OWN_GUID, "attributes": 7,
                 "data": "01"}
        content = command.json.dumps({"efistore": 1, "variables": [entry]}).encode()
        self.run_it("import", "--format", "json", "-", stdin=content)
        self.assertEqual(command.json.loads(self.run_it("export", "--format", "json")),
                         {"efistore": 1, "variables": [entry]})
        self.assertEqual(self.names(), [own(r"\u{d800}x")])
        self.assertEqual(self.json("list")["variables"][0]["name_utf16"], "00d87800")

    def test_times_do_not_fit_the_normal_format(self):
        image = script_test.need_file("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        self.run_it("create", "--force", "--format", "normal")
        with self.keeps("vars.fd"):
            self.fails("import", "--format", "image", image,
                       message=rf"{image}: .*: attributes .*, .* no authenticated variables")

    def test_files_that_are_none_of_the_format(self):
        self.path("text").write_bytes(b"hello\n")
        self.path("json").write_bytes(b'{"efistore":1,"variables":[{"name":"A"}]}')
        with self.keeps("vars.fd"):
            for name, file, message in (
                    ("json", "text", "text: .*"), ("qemu", "text", "text: .*"),
                    ("ubootefi", "text", "text: .*"), ("image", "text", "text: .*"),
                    ("json", "json", r"json: .*variables\[0\].*"),
                    ("json", "none", "none: No such file.*"),
                    ("image", "none", "none: No such file.*"),
                    ("json", "/dev/zero", "/dev/zero: more than .*"),
                    ("json", ".", r"\.: Is a directory")):
                self.fails("import", "--format", name, file, message=message)
            self.fails("import", "--format", "image", "-", stdin=b"x",
                       message="standard input: less than a block .*")
            self.fails("import", "--format", "image", "-", stdin=b"\xff" * 8192,
                       message="standard input is blank.*")

    def test_wrong_usage(self):
        for words in (["export"], ["import", "file"], ["import", "--format", "json"],
                      ["export", "--format", "xml"], ["import", "--format", "aws", "file"],
                      ["export", "--format", "json", "--json"]):
            self.fails(*words, code=USAGE, message=".*")

    def test_exports_replace_files_as_a_whole(self):
        self.fill()
        self.path("out").write_bytes(b"old")
        self.path("out").chmod(0o600)
        self.run_it("export", "--format", "json", "-o", "out")
        self.assertEqual(self.path("out").stat().st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(self.folder)), ["out", "vars.fd"])
        before = hashlib.sha256(self.path("out").read_bytes()).digest()
        self.fails("export", "--format", "json", "-o", "out", store="none.fd",
                   message="none.fd: No such file.*")
        self.assertEqual(hashlib.sha256(self.path("out").read_bytes()).digest(), before)

    def test_an_export_into_a_device_leaves_it_a_device(self):
        self.fill()
        self.run_it("export", "--format", "json", "-o", "/dev/null")
        self.assertFalse(self.path("null").exists())
        self.assertTrue(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"))
        done = self.spawn("--store", "vars.fd", "export", "--format", "json", "-o", "/dev/full")
        self.assertEqual((done.returncode, done.stderr),
                         (FAILURE, b"efistore: /dev/full: No space left on device\n"))


if __name__ == "__main__":
    script_test.main()
