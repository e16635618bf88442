# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The man pages: that they are built, and say what the command does."""

import re

import command
import script_test

MANUAL = script_test.SOURCE_DIR / "tools" / "man" / "efistore.1.scd"
FORMATS = script_test.SOURCE_DIR / "tools" / "man" / "efistore-formats.5.scd"


class ManualTest(command.CommandTest):
    def build(self, page) -> str:
        scdoc = script_test.need_program("scdoc")
        return script_test.run([scdoc], input=page.read_bytes()).stdout.decode()

    def test_pages_are_built(self):
        for page, title in ((MANUAL, '.TH "efistore" "1"'), (FORMATS, '.TH "efistore-formats" "5"')):
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
        self.assertEqual(len(names), 16)
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


if __name__ == "__main__":
    script_test.main()
