# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore check --repair, and what check says of headers and variables."""

import os

import command
import script_test
from command import OWN_GUID, USAGE

FIRST_RECORD = 0x64
WORKING_AREA = 0x41000


def own(name: str) -> str:
    return f"{name}-{OWN_GUID}"


class RepairTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")
        for name in ("A", "B", "C"):
            self.run_it("set", own(name), "--text", name * 500)

    def change(self, offset: int, content: bytes, store="vars.fd"):
        image = bytearray(self.path(store).read_bytes())
        image[offset:offset + len(content)] = content
        self.path(store).write_bytes(image)

    def break_chain(self):
        """Breaks the chain at the second of three records."""
        self.change(FIRST_RECORD + 60 + 4 + 500, b"\0\0")

    def repair(self, *words, **options):
        return self.json("check", "--repair", "--keep", "kept.fd", *words, **options)

    def test_a_healthy_store_is_left_alone(self):
        with self.keeps("vars.fd"):
            self.assertEqual(
                self.text("check", "--repair"),
                "vars.fd: ovmf-4m, auth format, 528 KiB: nothing needs repair, variables: 3\n")
            self.assertEqual(self.repair(),
                             {"store": "vars.fd", "layout": "ovmf-4m", "format": "auth",
                              "repaired": False, "actions": [], "damaged": False,
                              "health": "clean", "variables": 3})
        self.assertFalse(self.path("kept.fd").exists())

    def test_a_broken_chain_is_repaired(self):
        contents = self.contents()
        self.break_chain()
        damaged = self.path("vars.fd").read_bytes()
        repaired = self.repair()
        self.assertEqual(
            {key: repaired[key] for key in ("repaired", "damaged", "health", "variables", "kept")},
            {"repaired": True, "damaged": False, "health": "clean", "variables": 3,
             "kept": "kept.fd"})
        self.assertEqual([action["kind"] for action in repaired["actions"]],
                         ["mended", "salvaged"])
        self.assertEqual(repaired["actions"][0]["offset"], FIRST_RECORD + 564)
        self.assertEqual(self.path("kept.fd").read_bytes(), damaged)
        self.assertEqual(self.contents(), contents)
        self.text("check")
        self.run_it("set", own("D"), "--text", "x")

    def test_repair_as_text(self):
        self.break_chain()
        text = self.text("check", "--repair", "--keep", "kept.fd")
        self.assertRegex(text, rf"(?m)^mended +0x0000298\+0x234  {own('B')}: .*aa 55$")
        self.assertRegex(text, r"\nvars\.fd: ovmf-4m, auth format, 528 KiB: repaired, clean now, "
                         r"variables: 3; the damaged image is in kept\.fd\n\Z")

    def test_the_whole_device_is_kept(self):
        self.break_chain()
        with self.path("vars.fd").open("ab") as image:
            image.write(b"\x5a" * 0x10000)
        damaged = self.path("vars.fd").read_bytes()
        self.repair()
        self.assertEqual(self.path("kept.fd").read_bytes(), damaged)
        self.assertEqual(self.path("vars.fd").read_bytes()[0x84000:], damaged[0x84000:])

    def test_nothing_is_written_before_the_image_is_kept(self):
        self.break_chain()
        self.path("there").write_bytes(b"mine")
        self.path("dangling").symlink_to("nowhere")
        with self.keeps("vars.fd"):
            self.fails("check", "--repair", code=USAGE,
                       message=r"vars\.fd is damaged: --keep FILE is required.*")
            with self.keeps("there"):
                self.fails("check", "--repair", "--keep", "there", message="there: File exists")
            self.fails("check", "--repair", "--keep", "dangling",
                       message="dangling: File exists")
            self.fails("check", "--repair", "--keep", "/dev/full",
                       message="/dev/full: File exists")
            self.fails("check", "--repair", "--keep", "no/folder",
                       message="no/folder: No such file.*")
            self.fails("check", "--repair", "--keep", "vars.fd",
                       message=r"vars\.fd is the store itself.*")
            self.path("link").symlink_to("vars.fd")
            self.fails("check", "--repair", "--keep", "link", message=r"link is the store itself.*")
        self.assertFalse(self.path("nowhere").exists())

    def test_the_image_is_synced_before_the_first_write(self):
        strace = script_test.need_program("strace")
        self.break_chain()
        program = os.environ["EFISTORE_COMMAND"]
        done = script_test.run(
            [strace, "-y", "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate",
             "-o", str(self.path("trace")), program, "--store", "vars.fd", "check", "--repair",
             "--keep", "kept.fd"], cwd=self.folder, check=False,
            env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual(done.returncode, 0, done.stderr)
        calls = [line for line in self.path("trace").read_text().splitlines()
                 if f"<{self.folder}" in line]
        first_write = next(i for i, line in enumerate(calls) if "vars.fd>" in line
                           and "write" in line.split("(")[0])
        before = calls[:first_write]
        self.assertTrue(any(line.startswith("fsync(") and "kept.fd>" in line for line in before))
        self.assertTrue(any(line.startswith("fsync(") and f"<{self.folder}>" in line
                            for line in before), "the folder")
        self.assertFalse(any("kept.fd>" in line for line in calls[first_write:]))

    def test_headers_are_rebuilt(self):
        contents = self.contents()
        image = self.path("vars.fd").read_bytes()
        for offset, what in ((16, "FileSystemGuid"), (34, "FvLength"), (40, "Signature"),
                             (48, "HeaderLength"), (72, "Signature"), (92, "Format")):
            self.path("vars.fd").write_bytes(image)
            self.change(offset, bytes([image[offset] ^ 4]))
            done = self.fails("check", "--json", message=r"vars\.fd.*", stdout=None)
            checked = command.json.loads(done.stdout)
            self.assertTrue(checked["damaged"])
            self.assertIn(what, checked["findings"][0]["what"])
            repaired = self.repair()
            self.assertEqual(repaired["actions"][0]["kind"], "rebuilt", what)
            self.assertIn(what, repaired["actions"][0]["what"])
            self.assertEqual(self.contents(), contents)
            self.assertEqual(self.path("vars.fd").read_bytes()[:0x100], image[:0x100])
            self.path("kept.fd").unlink()

    def test_a_wrong_checksum_is_rebuilt(self):
        self.change(50, b"\0\0")
        self.assertEqual([action["kind"] for action in self.repair()["actions"]], ["rebuilt"])
        self.assertEqual(self.json("check")["health"], "clean")

    def test_a_working_area_is_started_anew(self):
        self.change(WORKING_AREA + 32, b"\xfb")
        self.fails("check", message=".*cannot be followed.*", stdout=None)
        self.assertEqual([action["kind"] for action in self.repair()["actions"]], ["restarted"])
        self.assertEqual(self.json("info")["ftw"], "idle")

    def test_an_ambiguous_layout_is_asked_for(self):
        contents = self.contents()
        image = self.path("vars.fd").read_bytes()
        self.path("vars.fd").write_bytes(b"\0" * FIRST_RECORD + image[FIRST_RECORD:]
                                         + b"\xff" * (0x100000 - len(image)))
        with self.keeps("vars.fd"):
            self.fails("check", "--repair", "--keep", "kept.fd",
                       message=r"vars\.fd: .* ovmf-4m .*custom .*\(--layout\)")
        self.assertFalse(self.path("kept.fd").exists())
        self.assertEqual(self.repair("--layout", "ovmf-4m")["layout"], "ovmf-4m")
        self.assertEqual(self.contents(), contents)

    def test_what_is_no_store_is_left_alone(self):
        for content in (b"\xff" * 0x84000, b"text" * 0x21000):
            self.path("vars.fd").write_bytes(content)
            with self.keeps("vars.fd"):
                self.fails("check", "--repair", "--keep", "kept.fd", message=r"vars\.fd: .*")
                self.fails("check", "--repair", "--keep", "kept.fd", "--layout", "ovmf-4m",
                           message=r"vars\.fd: no header and no record .*")
            self.assertFalse(self.path("kept.fd").exists())

    def test_wrong_usage(self):
        self.fails("check", "--keep", "kept.fd", code=USAGE, message=".*--repair.*")
        self.fails("check", "--layout", "aavmf", code=USAGE, message=".*--repair.*")
        self.fails("check", "--repair", "--layout", "none", code=USAGE, message=".*none.*")
        self.fails("check", "--repair", "--layout", "aavmf",
                   message=r"vars\.fd has the layout ovmf-4m.*")

    def test_names_of_lost_variables_are_escaped(self):
        self.run_it("set", f"\x1b[31m-{OWN_GUID}", "--text", "x")
        self.break_chain()
        self.assertNotIn("\x1b", self.text("check", "--repair", "--keep", "kept.fd"))

    # what check says of variables

    def test_a_certificate_database_is_checked(self):
        document = command.json.dumps({"efistore": 1, "variables": [
            {"name": "certdb", "guid": "d9bee56e-75dc-49d9-b4d7-b534210f637a", "attributes": 0x27,
             "data": "05000000"},
            {"name": "Mine", "guid": OWN_GUID, "attributes": 0x27, "data": "00"}]}).encode()
        self.run_it("import", "--format", "json", "-", stdin=document)
        done = self.fails("check", message=r"vars\.fd is damaged \(certdb.*", stdout=None)
        self.assertRegex(done.stdout.decode(), r"(?m)^damage .*certdb.* the total is 5")
        self.fails("check", "--repair", message=r"vars\.fd is still damaged \(certdb.*",
                   stdout=None)


if __name__ == "__main__":
    script_test.main()
