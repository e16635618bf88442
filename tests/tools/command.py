# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The efistore command as its tests call it: in a folder of their own, held to its contract."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import script_test

GLOBAL_GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
OWN_GUID = "12345678-1234-1234-1234-123456789abc"
TIMEOUT_S = 120
SUCCESS, FAILURE, USAGE = 0, 1, 2


class CommandTest(unittest.TestCase):
    """A test with a folder, in which stores are called by their bare names."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efistore-tools-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def path(self, name: str) -> pathlib.Path:
        return self.folder / name

    def spawn(self, *words, stdin=b"", environment=None):
        """Runs the command and holds it to what is so whatever it does."""
        program = os.environ.get("EFISTORE_COMMAND")
        if program is None:
            script_test.missing("EFISTORE_COMMAND does not name the efistore command")
        variables = {k: v for k, v in os.environ.items() if k != "EFISTORE"} | (environment or {})
        done = subprocess.run([program, *map(str, words)], input=stdin, capture_output=True,
                              cwd=self.folder, env=variables, timeout=TIMEOUT_S)
        self.assertIn(done.returncode, (SUCCESS, FAILURE, USAGE), (words, done.stderr[:2000]))
        for line in done.stderr.decode().splitlines():
            self.assertTrue(line.startswith("efistore: "), (words, done.stderr[:2000]))
            self.assertTrue(line.isprintable(), (words, line))
        if done.returncode != SUCCESS:
            reasons = [line for line in done.stderr.decode().splitlines()
                       if not line.startswith("efistore: warning: ")]
            self.assertEqual(len(reasons), 1, (words, done.stderr[:2000]))
        return done

    def run_it(self, *words, store="vars.fd", warnings="", **options) -> bytes:
        """What a command that must succeed prints; on standard error only `warnings`."""
        done = self.spawn("--store", store, *words, **options)
        self.assertEqual(done.returncode, SUCCESS, (words, done.stderr[:2000]))
        self.assertRegex(done.stderr.decode(), warnings or r"\A\Z")
        return done.stdout

    def text(self, *words, **options) -> str:
        return self.run_it(*words, **options).decode()

    def json(self, *words, **options):
        return json.loads(self.run_it(*words, "--json", **options))

    def fails(self, *words, message: str, code=FAILURE, store="vars.fd", stdout=b"", **options):
        """Runs a command that must fail with one line that matches `message` behind its prefix."""
        done = self.spawn("--store", store, *words, **options)
        self.assertEqual(done.returncode, code, (words, done.stderr[:2000]))
        self.assertRegex(done.stderr.decode(), r"\Aefistore: (?:" + message + r")\n\Z")
        if stdout is not None:
            self.assertEqual(done.stdout, stdout)
        return done

    def names(self, *options, store="vars.fd") -> list[str]:
        return self.text("list", *options, store=store).splitlines()

    def contents(self, store="vars.fd") -> dict:
        """Every variable of a store: {name: (attributes, data in hexadecimal, time)}."""
        listed = self.json("list", "--all", "-l", store=store)["variables"]
        return {f"{entry['name']}-{entry['guid']}":
                (entry["attributes"], entry["data"], entry.get("time")) for entry in listed}

    @contextlib.contextmanager
    def waiting_for(self, fifo: str, *words, store="vars.fd"):
        """The command while it waits for the rest of a FIFO that is made here; gives the process
        and the end to write to. Nobody has written anything yet."""
        os.mkfifo(self.path(fifo))
        process = subprocess.Popen(
            [os.environ["EFISTORE_COMMAND"], "--store", store, *words], cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while True:
                try:
                    end = os.open(self.path(fifo), os.O_WRONLY | os.O_NONBLOCK)
                    break
                except OSError:  # nobody reads yet
                    self.assertIsNone(process.poll(), "it ended without reading the FIFO")
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
            os.set_blocking(end, True)
            with open(end, "wb", buffering=0) as writer:
                yield process, writer
        finally:
            process.kill()
            process.communicate()

    def keeps(self, name: str):
        """A context in which the file must not change."""
        return _Unchanged(self, self.path(name))


class _Unchanged:
    def __init__(self, test: CommandTest, path: pathlib.Path):
        self.test, self.path = test, path

    def __enter__(self):
        self.before = self.path.read_bytes()

    def __exit__(self, kind, *_):
        if kind is None:
            self.test.assertEqual(self.before, self.path.read_bytes(), f"{self.path} changed")
