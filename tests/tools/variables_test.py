# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore list, get, set and delete."""

import os
import pty
import struct
import subprocess

import command
import script_test
from command import FAILURE, GLOBAL_GUID, OWN_GUID, USAGE

NV, BS, RT = 1, 2, 4


def own(name: str) -> str:
    return f"{name}-{OWN_GUID}"


def load_option(description: str, path: bytes, active=True) -> bytes:
    text = description.encode("utf-16-le") + b"\0\0"
    return struct.pack("<IH", active, len(path)) + text + path


FILE_PATH = bytes.fromhex("04040c005c00410042000000" "7fff0400")


class VariablesTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")

    # set

    def test_set_takes_data_in_every_form(self):
        self.path("file").write_bytes(b"\0\1\2\xff")
        for words, stdin, data in ((["--data", "00aBff"], b"", "00abff"),
                                   (["--text", "en"], b"", "656e"),
                                   (["--text", "-x"], b"", "2d78"),
                                   (["--text", "[a,b]"], b"", "5b612c625d"),
                                   (["--utf16", "hü"], b"", "6800fc000000"),
                                   (["--utf16", ""], b"", "0000"),
                                   (["-f", "file"], b"", "000102ff"),
                                   (["--file", "-"], b"\x05", "05")):
            self.assertEqual(self.run_it("set", own("A"), *words, stdin=stdin), b"")
            self.assertEqual(self.contents(), {own("A"): (NV | BS | RT, data, None)}, words)

    def test_a_name_alone_is_global(self):
        self.run_it("set", "Timeout", "--data", "0500")
        self.assertEqual(self.names(), [f"Timeout-{GLOBAL_GUID}"])
        self.assertEqual(self.text("get", f"Timeout-{GLOBAL_GUID.upper()}", "--hex"), "0500\n")

    def test_new_variables_get_the_default_attributes(self):
        self.run_it("set", own("A"), "--text", "x")
        self.assertEqual(self.contents()[own("A")][0], NV | BS | RT)

    def test_existing_variables_keep_their_attributes(self):
        self.run_it("set", own("A"), "-a", "nv,bs", "--text", "x")
        self.run_it("set", own("A"), "--text", "y")
        self.assertEqual(self.contents()[own("A")], (NV | BS, "79", None))

    def test_attributes_are_names_or_a_number(self):
        for text, value in (("nv,bs", 3), ("rt,bs,nv", 7), ("3", 3), ("0x7", 7)):
            self.run_it("set", own("A" + text), "-a", text, "--text", "x")
            self.assertEqual(self.contents()[own("A" + text)][0], value)

    def test_append(self):
        self.run_it("set", own("A"), "--append", "--text", "a")
        self.run_it("set", own("A"), "--append", "--text", "b")
        self.run_it("set", own("A"), "-a", "nv,bs,rt,ap", "--text", "c")
        self.assertEqual(self.contents()[own("A")], (NV | BS | RT, "616263", None))
        with self.keeps("vars.fd"):
            self.run_it("set", own("None"), "--append", "--text", "")

    def test_identical_writes_change_nothing(self):
        self.run_it("set", own("A"), "--text", "x")
        with self.keeps("vars.fd"):
            self.run_it("set", own("A"), "--text", "x")

    def test_rules_of_the_services_have_their_status(self):
        self.run_it("set", own("A"), "-a", "nv,bs", "--text", "x")
        with self.keeps("vars.fd"):
            for words, status in (
                    ([own("A"), "-a", "nv,bs,rt"], "EFI_INVALID_PARAMETER"),
                    ([own("B"), "-a", "nv"], "EFI_INVALID_PARAMETER"),
                    ([own("B"), "-a", "nv,rt"], "EFI_INVALID_PARAMETER"),
                    ([own("B"), "-a", "nv,bs,rt,aw"], "EFI_UNSUPPORTED"),
                    ([own("B"), "-a", "nv,bs,rt,at"], "EFI_SECURITY_VIOLATION"),
                    (["NoSuchGlobalName"], "EFI_[A-Z_]+")):
                name = words[0] if "-" in words[0] else f"{words[0]}-{GLOBAL_GUID}"
                self.fails("set", *words, "--text", "x", message=rf"{name}: {status}(: .*)?")

    def test_volatile_variables_are_refused_with_the_reason(self):
        with self.keeps("vars.fd"):
            for attributes in ("bs", "bs,rt", "6"):
                self.fails("set", own("A"), "-a", attributes, "--text", "x",
                           message=own("A") + ": a volatile variable would be gone .*")

    def test_a_variable_that_is_too_large(self):
        with self.keeps("vars.fd"):
            self.fails("set", own("A"), "-f", "-", stdin=b"x" * 0x10000,
                       message=own("A") + ": EFI_INVALID_PARAMETER.*")

    def test_a_store_that_is_full(self):
        self.run_it("create", "--force", "--layout", "ovmf-2m")
        for count in range(20):
            done = self.spawn("--store", "vars.fd", "set", own(f"A{count}"), "-f", "-",
                              stdin=b"x" * 4000)
            if done.returncode != 0:
                break
        self.assertRegex(done.stderr, b"\\Aefistore: " + own(f"A{count}").encode() +
                         b": EFI_OUT_OF_RESOURCES.*\n\\Z")
        self.assertGreater(count, 5)
        self.assertEqual(len(self.names()), count)

    def test_wrong_usage_of_set(self):
        with self.keeps("vars.fd"):
            for words, message in (
                    ([own("A")], ".*"),
                    ([own("A"), "--text", "x", "--data", "00"], ".*"),
                    ([own("A"), "--data", "0"], "--data: .*"),
                    ([own("A"), "--data", "zz"], "--data: .*"),
                    ([own("A"), "--text", ""], ".*`delete` removes it"),
                    ([own("A"), "--data", ""], ".*`delete` removes it"),
                    ([own("A"), "-a", "nv,xx", "--text", "x"], '-a: "nv,xx": .*'),
                    ([own("A"), "-a", "0", "--text", "x"], ".*`delete`"),
                    ([own("A"), "-a", "", "--text", "x"], ".*"),
                    (["", "--text", "x"], '"" names no variable.*'),
                    ([f"-{OWN_GUID}", "--text", "x"], ".*"),
                    ([b"\xff".decode(errors="surrogateescape"), "--text", "x"],
                     r'"\\xff" names no variable.*')):
                self.fails("set", *words, code=USAGE, message=message)

    def test_the_store_is_free_while_the_data_are_awaited(self):
        with self.waiting_for("fifo", "set", own("Late"), "-f", "fifo") as (process, writer):
            self.run_it("set", own("Early"), "--text", "x")
            writer.write(b"a")
            self.run_it("set", own("Between"), "--text", "y")
            writer.write(b"b")
            writer.close()
            self.assertEqual(process.communicate(timeout=60), (b"", b""))
            self.assertEqual(process.returncode, 0)
        self.assertEqual({name: data for name, (_, data, _) in self.contents().items()},
                         {own("Early"): "78", own("Between"): "79", own("Late"): "6162"})

    def test_a_pipe_has_limits(self):
        with self.keeps("vars.fd"):
            with self.waiting_for("fifo", "set", own("A"), "-f", "fifo") as (process, writer):
                with self.assertRaises(BrokenPipeError):  # long before all of it
                    for _ in range(128):
                        writer.write(bytes(1 << 20))
                self.assertEqual(process.communicate(timeout=60),
                                 (b"", b"efistore: fifo: more than the 67108864 bytes that are "
                                       b"taken\n"))
                self.assertEqual(process.returncode, FAILURE)

    def test_what_is_wrong_without_the_data_is_said_before_they_are_awaited(self):
        os.mkfifo(self.path("fifo"))
        for words, options, message in (
                (["nonsense-", "-a", "xx"], {}, '-a: "xx": .*'),
                (["nonsense-", "-a", "0"], {}, "-a: .*"),
                ([""], {}, '"" names no variable.*'),
                ([own("A")], {"store": ""}, "--store: .*")):
            self.fails("set", *words, "-f", "fifo", code=USAGE, message=message, **options)
        self.fails("set", own("A"), "-f", "fifo", "-a", "bs", message=".*volatile.*")

    def test_files_that_cannot_be_read(self):
        with self.keeps("vars.fd"):
            self.fails("set", own("A"), "-f", "none", message="none: No such file or directory")
            self.fails("set", own("A"), "-f", ".", message=r"\.: Is a directory")
            self.fails("set", own("A"), "-f", "/dev/zero", message="/dev/zero: more than .*")

    # get

    def test_get_shows_attributes_and_a_hex_dump(self):
        self.run_it("set", own("A"), "-a", "nv,bs", "--text", "0123456789abcdefg")
        self.assertEqual(
            self.text("get", own("A")),
            f"{own('A')}\nattributes: nv,bs (0x3)\nsize: 17\n"
            "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
            "00000010  67                                                |g|\n")

    def test_get_in_other_forms(self):
        self.run_it("set", own("A"), "--data", "6869")
        self.assertEqual(self.run_it("get", own("A"), "--raw"), b"hi")
        self.assertEqual(self.run_it("get", own("A"), "--hex"), b"6869\n")
        self.assertEqual(self.run_it("get", own("A"), "--text"), b"hi\n")
        self.assertEqual(self.run_it("get", own("A"), "--efivarfs"), b"\7\0\0\0hi")

    def test_get_to_a_file(self):
        self.run_it("set", own("A"), "--data", "6869")
        for words, content in (([], b"hi"), (["--raw"], b"hi"), (["--hex"], b"6869\n"),
                               (["--text"], b"hi\n"), (["--efivarfs"], b"\7\0\0\0hi")):
            self.assertEqual(self.run_it("get", own("A"), "-o", "out", *words), b"")
            self.assertEqual(self.path("out").read_bytes(), content)
        self.assertEqual(sorted(os.listdir(self.folder)), ["out", "vars.fd"])
        self.fails("get", own("A"), "-o", "none/out", message="none/out: No such file.*")

    def test_get_as_json(self):
        self.run_it("set", own("A"), "--data", "6869")
        self.assertEqual(self.json("get", own("A")),
                         {"name": "A", "guid": OWN_GUID, "attributes": 7,
                          "attribute_names": "nv,bs,rt", "size": 2, "data": "6869"})

    def test_text_is_utf8_or_utf16(self):
        for words, shown in ((["--text", "Grüße"], "Grüße"), (["--utf16", "Grüße"], "Grüße"),
                             (["--data", "656e00"], "en"), (["--text", "a\nb"], "a\nb"),
                             (["--data", "1b5b324a"], r"\u{1b}[2J")):
            self.run_it("set", own("A"), *words)
            self.assertEqual(self.text("get", own("A"), "--text"), shown + "\n")
        self.run_it("set", own("A"), "--data", "00ff00")
        self.fails("get", own("A"), "--text", message=own("A") + ": the data is neither .*")

    def test_get_refuses_what_is_not_there(self):
        self.fails("get", own("A"), message=own("A") + ": EFI_NOT_FOUND")
        self.fails("get", "Boot0000", message=f"Boot0000-{GLOBAL_GUID}: EFI_NOT_FOUND")

    def test_wrong_usage_of_get(self):
        self.fails("get", own("A"), "--raw", "--hex", code=USAGE, message=".*--raw.*")
        self.fails("get", own("A"), "--json", "--hex", code=USAGE, message="--json excludes .*")
        self.fails("get", own("A"), "--json", "-o", "x", code=USAGE, message="--json excludes .*")

    def test_raw_bytes_do_not_reach_a_terminal(self):
        self.run_it("set", own("A"), "--data", "1b5b324a")
        self.run_it("set", own("B"), "--text", "plain")
        program = os.environ["EFISTORE_COMMAND"]
        for name, code in (("A", FAILURE), ("B", 0)):
            terminal, end = pty.openpty()
            done = subprocess.run(
                [program, "--store", self.path("vars.fd"), "get", "--raw", own(name)],
                stdout=end, stderr=subprocess.PIPE, timeout=60)
            os.close(end)
            self.assertEqual(done.returncode, code)
            if code == 0:
                self.assertEqual(os.read(terminal, 100), b"plain")
            else:
                self.assertIn(b"not written to a terminal", done.stderr)
            os.close(terminal)

    # delete

    def test_delete(self):
        self.run_it("set", own("A"), "--text", "x")
        self.run_it("set", own("B"), "-a", "nv,bs", "--text", "x")
        self.assertEqual(self.run_it("delete", own("A")), b"")
        self.assertEqual(self.names("--all"), [own("B")])
        self.run_it("delete", own("B"))
        self.assertEqual(self.names("--all"), [])
        with self.keeps("vars.fd"):
            self.fails("delete", own("A"), message=own("A") + ": EFI_NOT_FOUND")

    def test_authenticated_variables_are_read_and_not_changed(self):
        image = script_test.need_file("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        self.path("vars.fd").write_bytes(image.read_bytes())
        self.assertIn(f"PK-{GLOBAL_GUID}", self.names())
        with self.keeps("vars.fd"):
            self.fails("delete", "PK", message=rf"PK-{GLOBAL_GUID}: EFI_[A-Z_]+(: .*)?")
            self.fails("set", "PK", "--text", "x", message=rf"PK-{GLOBAL_GUID}: EFI_[A-Z_]+(: .*)?")
        shown = self.json("get", "PK")
        self.assertRegex(shown["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z")
        self.assertIn("time: " + shown["time"], self.text("get", "PK"))
        self.assertRegex(self.text("list", "-l"), rf"(?m)  {shown['time']}  PK-{GLOBAL_GUID}")

    # list

    def test_list_shows_what_runtime_sees(self):
        self.run_it("set", own("Boot"), "-a", "nv,bs", "--text", "x")
        self.run_it("set", own("Run"), "--text", "x")
        self.assertEqual(self.names(), [own("Run")])
        self.assertEqual(self.names("--all"), [own("Boot"), own("Run")])
        self.assertEqual(len(self.json("list")["variables"]), 1)
        self.assertEqual(len(self.json("list", "--all")["variables"]), 2)

    def test_list_of_nothing(self):
        self.assertEqual(self.names(), [])
        self.assertEqual(self.json("list"), {"variables": []})

    def test_list_as_json_has_its_keys(self):
        self.run_it("set", own("A"), "--data", "0102")
        entry = {"name": "A", "guid": OWN_GUID, "attributes": 7, "attribute_names": "nv,bs,rt",
                 "size": 2}
        self.assertEqual(self.json("list"), {"variables": [entry]})
        self.assertEqual(self.json("list", "-l"), {"variables": [entry | {"data": "0102"}]})
        self.run_it("set", "Timeout", "--data", "0500")
        self.assertEqual(self.json("list", "--long")["variables"][1]["guid_name"],
                         "EFI Global Variable")

    def test_names_are_exact_in_json_and_harmless_in_text(self):
        name = "\x1b[31m\nred\u202e"
        self.run_it("set", own(name), "--text", "x")
        self.assertEqual(self.json("list")["variables"][0]["name"], name)
        escaped = own(r"\u{1b}[31m\u{a}red\u{202e}")
        self.assertEqual(self.names(), [escaped])
        self.assertIn(escaped, self.text("list", "-l"))
        self.assertTrue(self.text("get", own(name)).startswith(escaped + "\n"))
        self.assertIn(escaped, self.text("map"))

    def test_long_list_decodes_load_options(self):
        self.run_it("set", "Boot0000", "-f", "-", stdin=load_option("Debian \x1b", FILE_PATH))
        self.run_it("set", "Boot000A", "-f", "-", stdin=load_option("off", FILE_PATH, False))
        text = self.text("list", "-l")
        self.assertRegex(text, rf"(?m)^nv,bs,rt +\d+  - +Boot0000-{GLOBAL_GUID}"
                         r"  \[EFI Global Variable\]\n    Debian \\u\{1b\}  File\(\\AB\)\n")
        self.assertIn("    (inactive) off  File(\\AB)\n", text)
        options = [entry["load_option"] for entry in self.json("list", "-l")["variables"]]
        self.assertEqual(options, [
            {"active": True, "description": "Debian \x1b", "path": "File(\\AB)"},
            {"active": False, "description": "off", "path": "File(\\AB)"}])

    def test_load_options_that_are_none(self):
        # Provisioned, because SetVariable would not take them.
        entries = [{"name": f"Boot{i:04X}", "guid": GLOBAL_GUID, "attributes": 7, "data": data}
                   for i, data in enumerate(("00", "01000000ffff410000007fff0400",
                                             "0100000004004100420043004400",
                                             "01000000080041000000040403007fff0400"))]
        document = command.json.dumps({"efistore": 1, "variables": entries}).encode()
        self.run_it("import", "--format", "json", "-", stdin=document)
        self.assertEqual(self.text("list", "-l").count("    (undecodable)\n"), len(entries))
        for entry in self.json("list", "-l")["variables"]:
            self.assertIsNone(entry["load_option"])


if __name__ == "__main__":
    script_test.main()
