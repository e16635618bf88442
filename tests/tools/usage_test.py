# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line itself: global options, help, wrong usage, which store."""

import fcntl
import os
import re
import shlex
import struct
import subprocess

import command
import script_test
from command import FAILURE, OWN_GUID, SUCCESS, USAGE

F_OFD_SETLK = 37  # of Linux; Python has no name for it before 3.13
COMMANDS = ("create", "info", "list", "get", "set", "delete", "check", "map", "reclaim", "export",
            "import", "policy", "capsule")
# With the commands of commands.
ALL_COMMANDS = [[name] for name in COMMANDS] + [["policy", name]
                                                for name in ("list", "register", "lock")] + [
    ["capsule", name] for name in ("inspect", "create", "sign", "verify")]


class UsageTest(command.CommandTest):
    def usage(self, *words, message, **options):
        done = self.spawn(*words, **options)
        self.assertEqual(done.returncode, USAGE, (words, done.stderr))
        self.assertRegex(done.stderr.decode(), r"\Aefistore: (?:" + message + r")\n\Z")
        self.assertEqual(done.stdout, b"")

    def test_help_names_every_command(self):
        for words in (["--help"], ["-h"]):
            done = self.spawn(*words)
            self.assertEqual(done.returncode, SUCCESS)
            for name in COMMANDS:
                self.assertRegex(done.stdout.decode(), rf"(?m)^  {name} ")

    def test_help_of_every_command_has_examples(self):
        for command_words in ALL_COMMANDS:
            for words in ([*command_words, "--help"], ["--help", *command_words]):
                done = self.spawn(*words)
                self.assertEqual(done.returncode, SUCCESS, words)
            done = self.spawn(*command_words, "--help")
            self.assertRegex(done.stdout.decode(),
                             rf"(?s)\nExamples:\n.*efistore .*{' '.join(command_words)}")

    def test_examples_of_the_help_are_understood(self):
        for command_words in ALL_COMMANDS:
            text = self.spawn(*command_words, "--help").stdout.decode()
            examples = re.findall(r"^  efistore (.*?)(?:  .*)?$", text.split("Examples:")[1], re.M)
            self.assertTrue(examples, command_words)
            for example in examples:
                words = shlex.split(example.split("|")[0], comments=False)
                self.assertIn(" ".join(command_words), " ".join(words))
                done = self.spawn(*words)
                self.assertNotEqual(done.returncode, USAGE, (example, done.stderr))

    def test_version(self):
        for words in (["--version"], ["list", "--version"]):
            done = self.spawn(*words)
            self.assertEqual(done.returncode, SUCCESS)
            self.assertRegex(done.stdout.decode(), r"\Aefistore \d+\.\d+\.\d+\n\Z")

    def test_wrong_usage(self):
        self.usage(message="a command is required.*")
        self.usage("frobnicate", message='"frobnicate" is neither a command nor an option.*')
        self.usage("--frobnicate", message='"--frobnicate" is neither a command nor an option.*')
        self.usage("list", "--frobnicate", message=".*--frobnicate.*")
        self.usage("list", "Boot0000", message=".*Boot0000.*")
        self.usage("get", message=".*NAME.*")
        self.usage("get", "A", "B", message=".*B.*")
        self.usage("--store", message=".*--store.*")
        for words in (["--store", "", "list"], ["--store=", "list"], ["list", "--store="]):
            self.usage(*words, message="--store: .*empty")
        self.usage("list", "get", message=".*get.*")

    def test_control_characters_of_arguments_are_escaped(self):
        self.usage("\x1b[2J\n", message=r'"\\u\{1b\}\[2J\\u\{a\}" is neither.*')

    def test_global_options_stand_before_and_behind_the_command(self):
        self.run_it("create")
        self.run_it("set", "A-" + OWN_GUID, "--text", "x")
        forms = (["--store", "vars.fd", "--json", "list"], ["list", "--store", "vars.fd", "--json"],
                 ["--json", "list", "--store=vars.fd"])
        outputs = {self.spawn(*words).stdout for words in forms}
        self.assertEqual(len(outputs), 1)
        self.assertIn(b'"name": "A"', outputs.pop())

    def test_variables_may_be_called_as_commands_and_options_are(self):
        self.run_it("create")
        for name in ("list", "--json", "-l", "--"):
            full = f"{name}-{OWN_GUID}"
            self.run_it("set", "--text", "x", "--", full)
            self.assertIn(full, self.names())
            self.assertEqual(self.text("get", "--raw", "--", full), "x")
            self.run_it("delete", "--", full)
        self.assertEqual(self.names(), [])

    def test_the_store_comes_from_the_environment(self):
        self.run_it("create")
        done = self.spawn("list", environment={"EFISTORE": "vars.fd"})
        self.assertEqual(done.returncode, SUCCESS)
        # The option wins.
        done = self.spawn("--store", "other.fd", "list", environment={"EFISTORE": "vars.fd"})
        self.assertEqual((done.returncode, done.stdout), (FAILURE, b""))
        self.assertRegex(done.stderr, rb"other\.fd: No such file")

    def test_without_a_store_the_error_names_all_three(self):
        if os.path.exists("/dev/efistore") or os.path.exists("/run/efistore/efistored.sock"):
            self.skipTest("a default store is running here")
        for environment in ({}, {"EFISTORE": ""}):
            done = self.spawn("list", environment=environment)
            self.assertEqual(done.returncode, FAILURE)
            self.assertRegex(done.stderr, rb"\$EFISTORE.*/dev/efistore.*/run/efistore/efistored.sock")

    def test_what_works_on_the_flash_is_refused_for_a_daemon(self):
        for store in ("unix:/run/some.sock", "/dev/efistore"):
            for words in (["create"], ["check"], ["map"], ["export", "--format", "json"]):
                self.fails(*words, store=store, message=f"{store}: this works on the flash .*")

    def test_a_daemon_that_is_not_there_is_named(self):
        for words in (["list"], ["set", "A", "--text", "x"], ["info"], ["watch"]):
            self.fails(*words, store="unix:none.sock", message="none.sock: nobody listens .*")

    def test_what_is_no_store_is_refused(self):
        os.mkfifo(self.path("fifo"))
        self.path("empty").write_bytes(b"")
        self.path("short").write_bytes(b"x" * 100)
        self.fails("list", store=".", message=r"\. is neither an image file nor .*")
        self.fails("list", store="fifo", message="fifo is neither an image file nor .*")
        self.fails("list", store="/dev/null", message="/dev/null is neither an image file nor .*")
        self.fails("list", store="none.fd", message="none.fd: No such file or directory")
        self.fails("list", store="empty", message="empty: 0 bytes are less than .*")
        self.fails("list", store="short", message="short: 100 bytes are less than .*")
        self.fails("list", store="mtd:no-such-partition", message=".*no-such-partition.*")

    def test_a_store_in_use_names_its_holder(self):
        self.run_it("create")
        whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        with self.path("vars.fd").open("r+b") as file:
            fcntl.fcntl(file, F_OFD_SETLK, whole_file)
            self.fails("list", message=rf"vars\.fd is in use by process {os.getpid()} \(.*\): .*")
            self.fails("set", "A", "--text", "x", message=r"vars\.fd is in use by process .*")
        self.assertEqual(self.names(), [])

    def test_files_need_a_name(self):
        self.run_it("create")
        for words in (["get", "A", "-o", ""], ["map", "--svg", ""], ["set", "A", "-f", ""],
                      ["export", "--format", "json", "-o", ""], ["import", "--format", "json", ""]):
            if words[0] == "get":
                self.run_it("set", "A-" + OWN_GUID, "--text", "x")
                words[1] = "A-" + OWN_GUID
            self.fails(*words, code=USAGE, message="the name of a file must not be empty")

    def test_reading_needs_no_write_permission(self):
        self.run_it("create")
        self.path("vars.fd").chmod(0o444)
        with self.keeps("vars.fd"):
            for words in (["list"], ["info"], ["check"], ["map"], ["export", "--format", "json"]):
                self.run_it(*words)

    def test_reading_shares_the_store_with_other_readers(self):
        self.run_it("create")
        self.run_it("set", "A-" + OWN_GUID, "--text", "x")
        self.run_it("create", store="other.fd")
        whole_file = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        with self.path("vars.fd").open("rb") as file:
            fcntl.fcntl(file, F_OFD_SETLK, whole_file)
            for words in (["list"], ["get", "A-" + OWN_GUID], ["info"], ["check"], ["map"],
                          ["export", "--format", "json"], ["export", "--format", "image"]):
                self.run_it(*words)
            self.run_it("import", "--format", "image", "vars.fd", store="other.fd")
            for words in (["set", "A-" + OWN_GUID, "--text", "y"], ["delete", "A-" + OWN_GUID],
                          ["reclaim"], ["create", "--force"]):
                self.fails(*words, message=r"vars\.fd is in use by process .*")

    def test_output_that_cannot_be_written_is_a_failure(self):
        self.run_it("create")
        program = os.environ["EFISTORE_COMMAND"]
        for words in (["info"], ["export", "--format", "image"], ["info", "--json"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([program, "--store", self.path("vars.fd"), *words],
                                      stdout=full, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(done.returncode, FAILURE, words)
            self.assertEqual(done.stderr, b"efistore: standard output: No space left on device\n")


if __name__ == "__main__":
    script_test.main()
