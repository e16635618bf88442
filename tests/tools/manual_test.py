# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The man pages: that they are built, and say what the command and the daemon do."""

import os
import re
import subprocess

import command
import script_test

MANUAL = script_test.SOURCE_DIR / "tools" / "man" / "efistore.1.scd"
DAEMON = script_test.SOURCE_DIR / "tools" / "man" / "efistored.8.scd"
FORMATS = script_test.SOURCE_DIR / "tools" / "man" / "efistore-formats.5.scd"


class ManualTest(command.CommandTest):
    def build(self, page) -> str:
        scdoc = script_test.need_program("scdoc")
        return script_test.run([scdoc], input=page.read_bytes()).stdout.decode()

    def test_pages_are_built(self):
        for page, title in ((MANUAL, '.TH "efistore" "1"'), (DAEMON, '.TH "efistored" "8"'),
                            (FORMATS, '.TH "efistore-formats" "5"')):
            self.assertIn(title, self.build(page))

    def help_of(self, name) -> str:
        """What a command's help shows before its examples, with that of its own commands."""
        shown = self.spawn(name, "--help").stdout.decode().split("Examples:")[0]
        commands = (shown.split("\nCommands:\n") + [""])[1].split("\n\n")[0]
        for nested in re.findall(r"(?m)^  (\w+) ", commands):
            shown += self.spawn(name, nested, "--help").stdout.decode().split("Examples:")[0]
        return shown

    def test_every_command_and_option_is_in_the_manual(self):
        text = MANUAL.read_text()
        help_text = self.spawn("--help").stdout.decode()
        names = re.findall(r"^  (\w+) ", help_text.split("\nCommands:\n")[1].split("\n\n")[0], re.M)
        self.assertEqual(len(names), 18)
        for name in names:
            sections = re.findall(rf"^## ({name}\b.*(?:\n(?!#).*)*)", text, re.M)
            self.assertEqual(len(sections), 1, name)
            for option in re.findall(r"(?m)^ +(?:-\w,)?(--[\w-]+)", self.help_of(name)):
                if option != "--help":
                    self.assertIn(option, sections[0], name)

    def test_the_manual_offers_nothing_that_is_not_there(self):
        text = MANUAL.read_text()
        for heading in re.findall(r"^## (.*)$", text, re.M):
            name, *rest = heading.split()
            shown = self.help_of(name)
            for option in re.findall(r"--?\w[\w-]*", " ".join(rest)):
                self.assertRegex(shown, rf"(?<![\w-]){option}\b", heading)

    def test_every_example_is_understood(self):
        self.run_it("create")
        examples = MANUAL.read_text().split("# EXAMPLES")[1]
        lines = examples.replace("\\\\\n", "").splitlines()
        commands = [line.strip().split("|")[0].split() for line in lines
                    if line.strip().startswith("efistore ")]
        self.assertGreater(len(commands), 5)
        for words in commands:
            done = self.spawn(*words[1:], environment={"EFISTORE": "vars.fd"})
            self.assertNotEqual(done.returncode, command.USAGE, (words, done.stderr))


class DaemonManualTest(command.CommandTest):
    """Nobody is served here: the stores of the examples do not exist."""

    def run_daemon(self, *words):
        program = os.environ.get("EFISTORED_COMMAND")
        if program is None:
            script_test.missing("EFISTORED_COMMAND does not name the daemon")
        environment = {k: v for k, v in os.environ.items() if k != "EFISTORE"}
        return subprocess.run([program, *words], cwd=self.folder, env=environment,
                              capture_output=True, text=True, timeout=command.TIMEOUT_S)

    def test_the_manual_has_the_options_and_no_others(self):
        shown = set(re.findall(r"(?m)^ +(?:-\w,)?(--[\w-]+)", self.run_daemon("--help").stdout))
        text = DAEMON.read_text().split("# OPTIONS")[1].split("\n# ")[0]
        described = {option for line in re.findall(r"(?m)^\*-.*", text)
                     for option in re.findall(r"--[\w-]+", line)}
        self.assertEqual(shown, described)

    def test_every_example_is_understood(self):
        lines = DAEMON.read_text().split("# EXAMPLES")[1].splitlines()
        commands = [line.split("&")[0].split() for line in lines if line.startswith("efistored ")]
        self.assertGreater(len(commands), 2)
        for words in commands:
            done = self.run_daemon(*words[1:])
            self.assertEqual(done.returncode, command.FAILURE, (words, done.stderr))
            self.assertRegex(done.stderr, r"\Aefistored: .*vars.*\n\Z")

    def test_the_example_of_a_configuration_is_understood(self):
        text = DAEMON.read_text().split("# CONFIGURATION")[1].split("```")[1]
        self.path("conf").write_text(text)
        done = self.run_daemon("--config", "conf")
        self.assertEqual(done.returncode, command.FAILURE, done.stderr)
        self.assertIn("uefi-vars", done.stderr)
        self.path("conf").write_text(text + "bogus = 1\n")
        self.assertIn("bogus", self.run_daemon("--config", "conf").stderr)


if __name__ == "__main__":
    script_test.main()
