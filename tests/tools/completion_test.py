# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The bash completion, called as bash calls it."""

import os
import re
import shlex
import subprocess

import command
import script_test
from command import GLOBAL_GUID, OWN_GUID

COMPLETION = script_test.SOURCE_DIR / "tools" / "completion" / "efistore"
COMMANDS = ["apply", "capsule", "check", "create", "delete", "esrt", "export", "get", "import", "info",
            "list", "map", "policy", "reclaim", "replay", "secureboot", "set", "watch"]
# With the commands of commands.
NESTED = {"capsule": ["apply", "create", "inspect", "sign", "verify"],
          "policy": ["list", "lock", "register"],
          "secureboot": ["enroll", "generate", "mode", "status"]}
ALL_COMMANDS = [[name] for name in COMMANDS] + [[name, nested] for name in NESTED
                                                for nested in NESTED[name]]


class CompletionTest(command.CommandTest):
    program, source = "efistore", COMPLETION

    def complete(self, *words: str) -> list[str]:
        """The replies for the last of `words`, which Readline has split at spaces and =."""
        bash = script_test.need_program("bash")
        script = f"""
            source {shlex.quote(str(self.source))}
            name={self.program}
            [[ $(complete -p $name) == "complete -F _$name $name" ]] || exit 1
            COMP_WORDS=($name {' '.join(map(shlex.quote, words))})
            COMP_CWORD={len(words)}
            _$name
            (( ${{#COMPREPLY[@]}} == 0 )) || printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        program = os.path.dirname(os.environ["EFISTORE_COMMAND"])
        environment = os.environ | {"PATH": f"{program}:{os.environ['PATH']}"}
        environment.pop("EFISTORE", None)
        done = subprocess.run([bash, "--norc", "--noprofile", "-c", script], cwd=self.folder,
                              env=environment, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""), words)
        return sorted(done.stdout.decode().splitlines())

    def test_commands_and_global_options(self):
        everything = self.complete("")
        self.assertEqual([word for word in everything if not word.startswith("-")], COMMANDS)
        self.assertEqual(self.complete("--"), ["--help", "--json", "--store", "--version"])
        self.assertEqual(self.complete("re"), ["reclaim", "replay"])
        self.assertEqual(self.complete("--store", "vars.fd", "ch"), ["check"])
        self.assertEqual(self.complete("--store", "=", "vars.fd", "ch"), ["check"])

    def test_every_option_of_every_command_is_offered(self):
        for words in ALL_COMMANDS:
            shown = self.spawn(*words, "--help").stdout.decode()
            options = {word.split(",")[-1] for line in shown.split("Examples:")[0].splitlines()
                       if line.strip().startswith("-") for word in [line.split()[0]]}
            self.assertLessEqual(options, set(self.complete(*words, "--")), words)

    def test_nothing_is_offered_that_is_not_there(self):
        self.run_it("create")
        for words in ALL_COMMANDS:
            for option in self.complete(*words, "--"):
                done = self.spawn("--store", "vars.fd", *words, option)
                self.assertNotIn(b"not expected", done.stderr, (words, option))

    def test_values(self):
        self.assertEqual(self.complete("create", "--layout", ""),
                         ["aavmf", "custom", "ovmf-2m", "ovmf-4m"])
        self.assertEqual(self.complete("create", "--layout", "=", "o"), ["ovmf-2m", "ovmf-4m"])
        self.assertEqual(self.complete("create", "--format", ""), ["auth", "normal"])
        self.assertEqual(self.complete("export", "--format", ""),
                         ["image", "json", "qemu", "ubootefi"])
        self.assertEqual(self.complete("import", "--format", "j"), ["json"])
        self.assertEqual(self.complete("set", "X", "-a", "nv,b"), ["nv,bs"])
        self.assertNotIn("nv,nv", self.complete("set", "X", "-a", "nv,"))
        self.assertEqual(self.complete("set", "X", "--text", ""), [])
        self.assertEqual(self.complete("policy", "register", "X", "--must", "nv,b"), ["nv,bs"])
        self.assertEqual(self.complete("policy", "register", "X", "--lock", ""),
                         ["none", "now", "on-create"])
        self.assertEqual(self.complete("policy", "register", "X", "--min", ""), [])

    def test_commands_of_commands(self):
        for name, nested in NESTED.items():
            self.assertEqual(self.complete(name, ""), nested)
        self.assertEqual(self.complete("secureboot", "mode", "d"), ["deployed"])
        self.assertEqual(self.complete("secureboot", "enroll", "d"), ["db", "dbr", "dbt", "dbx"])
        self.assertEqual(self.complete("secureboot", "generate", "--type", "ec-p2"), ["ec-p256"])
        self.assertEqual(self.complete("policy", "--store", "vars.fd", "re"), ["register"])
        self.assertEqual(self.complete("capsule", "sign", "a.cap", "--digest", "sha3"), ["sha384"])
        self.assertEqual(self.complete("capsule", "create", "--flag", "p"), ["persist", "populate"])
        self.path("fw.bin").touch()
        for words in (["create", "--payload", "fw"], ["create", "--driver", "fw"], ["sign", "fw"],
                      ["inspect", "fw"], ["verify", "--trusted", "fw"], ["sign", "--chain", "fw"]):
            self.assertEqual(self.complete("capsule", *words), ["fw.bin"], words)
        for words in (["create", "--type", ""], ["create", "--version", ""],
                      ["sign", "--payload", ""]):
            self.assertEqual(self.complete("capsule", *words), [], words)
        self.assertEqual(self.complete("policy", "lock", ""), [])

    def test_files(self):
        self.run_it("create")
        self.path("a file").write_bytes(b"")
        for words in (["--store", "v"], ["get", "X", "-o", "v"], ["set", "X", "--file", "v"],
                      ["map", "--svg", "v"], ["check", "--keep", "v"], ["import", "v"], ["--store", "=", "v"],
                      ["policy", "register", "-f", "v"], ["apply", "v"], ["replay", "v"],
                      ["secureboot", "enroll", "db", "v"], ["secureboot", "enroll", "--key", "v"]):
            self.assertEqual(self.complete(*words), ["vars.fd"], words)
        self.assertEqual(self.complete("import", "a"), ["a file"])

    def test_variables(self):
        self.run_it("create")
        self.run_it("set", "Timeout", "--data", "0500")
        self.run_it("set", f"Two words-{OWN_GUID}", "-a", "nv,bs", "--text", "x")
        for name in (["get"], ["set"], ["delete"], ["policy", "register"]):
            self.assertEqual(self.complete("--store", "vars.fd", *name, "Ti"),
                             ["Timeout", f"Timeout-{GLOBAL_GUID}"])
        self.assertEqual(self.complete("--store", "vars.fd", "get", "Tw"),
                         [f"Two\\ words-{OWN_GUID}"])
        self.assertEqual(self.complete("get", "--store", "=", "vars.fd", "Tw"),
                         [f"Two\\ words-{OWN_GUID}"])
        self.assertEqual(self.complete("--store", "none.fd", "get", ""), [])


class DaemonCompletionTest(command.CommandTest):
    complete = CompletionTest.complete
    program, source = "efistored", COMPLETION.with_name("efistored")

    def test_every_option_is_offered_and_no_other(self):
        program = os.environ["EFISTORED_COMMAND"]
        shown = subprocess.run([program, "--help"], capture_output=True, check=True, timeout=60)
        options = re.findall(r"(?m)^ +(?:-\w,)?(--[\w-]+)", shown.stdout.decode())
        self.assertEqual(sorted(options), self.complete("--"))

    def test_values(self):
        self.path("vars.fd").write_bytes(b"")
        for option in ("--store", "--socket", "--module-node", "--capture", "--capsules",
                       "--config"):
            self.assertEqual(self.complete(option, "v"), ["vars.fd"])
            self.assertEqual(self.complete(option, "=", "v"), ["vars.fd"])
        self.assertEqual(self.complete("--phase", ""), ["boot", "runtime"])
        self.assertEqual(self.complete("--allow", ""), ["any=", "group:", "user:"])
        self.assertEqual(self.complete("--user", "roo"), ["root"])
        self.assertEqual(self.complete("--idle", ""), [])


if __name__ == "__main__":
    script_test.main()
