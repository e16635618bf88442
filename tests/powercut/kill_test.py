# SPDX-License-Identifier: BSD-2-Clause-Patent
"""kill -9 of the command at random moments: the image holds old or new values, and nothing is lost.

EFISTORE_KILL_ROUNDS sets the number of rounds, EFISTORE_SEED the moments (the test prints it; the
scheduler has its say in them too).
"""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import time
import unittest

import script_test

GUID = "12345678-1234-1234-1234-123456789abc"
DEFAULT_ROUNDS = 60


class KillTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efistore-kill-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.program = os.environ.get("EFISTORE_COMMAND")
        if self.program is None:
            script_test.missing("EFISTORE_COMMAND does not name the efistore command")
        self.run_it("create", "--size", "48K")

    def command(self, *words):
        return [self.program, "--store", str(self.folder / "vars.fd"), *words]

    def run_it(self, *words):
        return script_test.run(self.command(*words)).stdout.decode()

    def contents(self):
        shown = json.loads(self.run_it("export", "--format", "json"))
        return {variable["name"]: variable["data"] for variable in shown["variables"]}

    def change(self, random_numbers, before):
        """A command that changes one variable, or nothing that is seen, and what is there after it."""
        name = f"Name{random_numbers.randrange(4)}"
        kind = random_numbers.choice(["set", "set", "set", "append", "delete", "reclaim"])
        data = random_numbers.randbytes(random_numbers.randrange(1, 900)).hex()
        after = dict(before)
        if kind == "reclaim" or (kind in ("delete", "append") and name not in before):
            return ["reclaim"], after
        if kind == "delete":
            del after[name]
            return ["delete", f"{name}-{GUID}"], after
        if kind == "append":
            if len(before[name]) > 4000:
                return ["reclaim"], after
            after[name] = before[name] + data
            return ["set", "--append", f"{name}-{GUID}", "--data", data], after
        after[name] = data
        return ["set", f"{name}-{GUID}", "--data", data], after

    def test_killed_at_any_moment_leaves_old_or_new(self):
        rounds = int(os.environ.get("EFISTORE_KILL_ROUNDS", DEFAULT_ROUNDS))
        seed = int(os.environ.get("EFISTORE_SEED", random.SystemRandom().randrange(1 << 32)))
        random_numbers = random.Random(seed)
        self.run_it("set", f"Untouched-{GUID}", "--text", "kept")
        before = self.contents()
        killed = old = new = 0
        duration_s = 0.05
        for done in range(rounds):
            words, after = self.change(random_numbers, before)
            with self.subTest(seed=seed, round=done, words=words):
                started = time.monotonic()
                process = subprocess.Popen(self.command(*words), stdout=subprocess.DEVNULL,
                                           stderr=subprocess.PIPE)
                try:
                    # The writes come at the end: most moments are near it.
                    process.wait(random_numbers.uniform(0.4, 1.1) * duration_s)
                except subprocess.TimeoutExpired:
                    process.kill()
                complaint = process.communicate()[1].decode()
                if process.returncode == 0:
                    duration_s = (duration_s + time.monotonic() - started) / 2
                    self.assertEqual(after, self.contents())
                else:
                    self.assertEqual(-9, process.returncode, complaint)
                    duration_s *= 1.05
                    killed += 1
                self.run_it("check")
                now = self.contents()
                self.assertIn(now, (before, after))
                old += now == before
                new += now == after
                before = now
        print(f"kill: seed {seed}, {rounds} rounds, {killed} killed, {old} old, {new} new")
        self.assertGreater(killed, rounds // 10, "the moments are wrong")


if __name__ == "__main__":
    script_test.main()
