# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The efistore command on a daemon: what it gives on the flash, watching, captures and replays."""

import json
import os
import re
import resource
import signal
import subprocess
import time

import command
import script_test
from command import FAILURE, GLOBAL_GUID, OWN_GUID, SUCCESS, TIMEOUT_S
from daemon_process import Daemon

A = f"A-{OWN_GUID}"
OPTION = bytes.fromhex("010000001000410000000404" "0c005c0041004200" "0000" "7fff0400")
CHANGES = json.dumps({"changes": [
    {"name": "Applied1", "guid": OWN_GUID, "data": "01"}, {"name": "BootOrder", "data": "0000"},
    {"name": "A", "guid": OWN_GUID, "append": True, "text": "+"},
    {"name": "C", "guid": OWN_GUID, "delete": True}]})
REFUSED = json.dumps({"changes": [
    {"name": "Applied2", "guid": OWN_GUID, "data": "01"}, {"name": "BootOrder", "data": "01"}]})


# What firmware shows of secure boot is in its memory, so the command alone does not see it.
SHOWN = re.compile(r"^.*(?:SignatureSupport|SetupMode|AuditMode|DeployedMode|VendorKeys|SecureBoot)"
                   rf"-{GLOBAL_GUID}.*\n", re.MULTILINE)


def without_shown(text: str) -> str:
    if not text.startswith("{"):
        return SHOWN.sub("", text)
    return json.dumps([entry for entry in json.loads(text)["variables"]
                       if entry["attributes"] & 1])


class RemoteTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")
        # As firmware leaves it, so that the daemon adds nothing.
        with Daemon(self.folder):
            pass

    def daemon(self, *options, **more) -> Daemon:
        daemon = Daemon(self.folder, *options, **more)
        self.addCleanup(daemon.close)
        return daemon


class SameAsOnFlashTest(RemoteTest):
    """Each command on an image, and on a daemon that serves a copy of it in the same phase."""

    def setUp(self):
        super().setUp()
        self.path("served.fd").write_bytes(self.path("vars.fd").read_bytes())
        self.served = self.daemon("served.fd", "--phase", "boot").start()

    def both(self, *words, stdin=b"", code=None):
        there = self.spawn("--store", self.served.locator, *words, stdin=stdin)
        here = self.spawn("--store", "vars.fd", *words, stdin=stdin)

        def unnamed(output):
            text = output.decode("latin-1")
            return text.replace(self.served.locator, "S").replace("vars.fd", "S")

        def neutral(done):
            shown = unnamed(done.stdout)
            if words[0] == "list":
                shown = without_shown(shown)
            return done.returncode, shown, unnamed(done.stderr)

        self.assertEqual(neutral(there), neutral(here), words)
        if code is not None:
            self.assertEqual(here.returncode, code, (words, here.stderr))
        return here

    def test_variables(self):
        for words, stdin, code in (
                (["set", A, "--text", "x"], b"", SUCCESS),
                (["set", A, "--append", "--text", "y"], b"", SUCCESS),
                (["set", "Boot0000", "-f", "-"], OPTION, SUCCESS),
                (["set", f"Early-{OWN_GUID}", "-a", "nv,bs", "--utf16", "hi"], b"", SUCCESS),
                (["set", f"Größe-{OWN_GUID}", "--text", "x"], b"", SUCCESS),
                (["set", f"Empty-{OWN_GUID}", "-f", "-"], b"", None),
                (["set", f"Large-{OWN_GUID}", "-f", "-"], b"z" * 20000, SUCCESS),
                (["set", f"Larger-{OWN_GUID}", "-f", "-"], b"z" * 40000, FAILURE),
                (["set", f"Huge-{OWN_GUID}", "-f", "-"], b"z" * 200000, FAILURE),
                (["set", A, "-a", "nv,bs", "--text", "x"], b"", FAILURE),
                (["set", A, "-a", "bs,rt", "--text", "x"], b"", FAILURE),
                (["set", f"V-{OWN_GUID}", "-a", "nv,bs,rt,at", "--text", "x"], b"", FAILURE),
                (["set", "NoSuchGlobalName", "--text", "x"], b"", FAILURE),
                (["delete", f"Größe-{OWN_GUID}"], b"", SUCCESS),
                (["delete", f"None-{OWN_GUID}"], b"", FAILURE),
                (["reclaim"], b"", SUCCESS)):
            self.both(*words, stdin=stdin, code=code)
            for look in (["list"], ["list", "--all"], ["list", "-l"], ["list", "-l", "--all", "--json"],
                         ["get", A], ["get", A, "--json"]):
                self.both(*look)
        for name in (A, "Boot0000", f"Early-{OWN_GUID}", f"Large-{OWN_GUID}", f"None-{OWN_GUID}"):
            for form in ([], ["--raw"], ["--hex"], ["--text"], ["--efivarfs"], ["-o", "out"]):
                self.both("get", name, *form)
                if form == ["-o", "out"] and self.path("out").exists():
                    self.path("out").unlink()

    def test_apply(self):
        self.both("set", f"C-{OWN_GUID}", "--text", "x", code=SUCCESS)
        self.both("set", A, "--text", "x", code=SUCCESS)
        self.both("apply", "-", stdin=CHANGES.encode(), code=SUCCESS)
        self.both("list", "-l", "--all")
        self.both("apply", "-", stdin=REFUSED.encode(), code=FAILURE)
        self.both("apply", "-", stdin=b"{", code=FAILURE)
        self.both("list", "-l", "--all", "--json")

    def test_a_transaction_of_the_whole_store(self):
        changes = [{"name": f"V{n}", "guid": OWN_GUID, "data": "5a" * 1000} for n in range(60)]
        self.both("apply", "-", stdin=json.dumps({"changes": changes}).encode(), code=SUCCESS)
        self.both("list", "-l")

    def test_policies(self):
        # The daemon has come as far as to ReadyToBoot, which locks them.
        self.fails("policy", "register", A, "--lock", "now", store=self.served.locator,
                   message=f"{A}: EFI_WRITE_PROTECTED: policies are locked until the next boot")
        self.served.end()
        self.run_it("policy", "register", A, "--max", "8")
        self.run_it("policy", "register", f"L-{OWN_GUID}", "--lock", "now")
        self.path("served.fd.policy").write_bytes(self.path("vars.fd.policy").read_bytes())
        self.served.start()
        self.assertEqual(self.text("policy", "list", store=self.served.locator),
                         "(locked until the next boot)\n" + self.text("policy", "list"))
        self.both("set", A, "--text", "short", code=SUCCESS)
        self.both("set", A, "--text", "longer than that", code=FAILURE)
        self.both("set", f"L-{OWN_GUID}", "--text", "x", code=FAILURE)

    def test_secure_boot(self):
        self.both("secureboot", "status")
        self.run_it("secureboot", "generate", "keys", "--type", "ec-p256")
        self.both("secureboot", "enroll", "--all", "keys", code=SUCCESS)

        def status(store):
            shown = self.json("secureboot", "status", store=store)
            return re.sub(r'"(time|set)": "[^"]*"', "", json.dumps(shown))

        self.assertEqual(status(self.served.locator), status("vars.fd"))
        self.assertIn('"user"', status("vars.fd"))
        self.both("set", "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f", "--text", "x", code=FAILURE)

    def test_info(self):
        self.both("set", A, "--text", "x", code=SUCCESS)
        there, here = (self.json("info", store=store)
                       for store in (self.served.locator, "vars.fd"))
        for key in ("format", "health", "variables", "space"):
            self.assertEqual(there[key], here[key], key)
        for key in ("maximum_variable_size", "maximum_storage_size", "remaining_storage_size"):
            self.assertEqual(there["limits"][key], here["limits"][key], key)
        self.assertRegex(self.text("info", store=self.served.locator), r"(?m)^you may .*read,write")

    def test_what_takes_the_flash_itself_says_so(self):
        for words in (["check"], ["map"], ["create"], ["export", "--format", "json"]):
            done = self.spawn("--store", self.served.locator, *words)
            if done.returncode != SUCCESS:
                self.assertIn(b"this works on the flash itself", done.stderr, words)

    def test_the_flash_is_the_same_afterwards(self):
        for number in range(10):
            self.both("set", f"V{number}-{OWN_GUID}", "--text", str(number), code=SUCCESS)
        self.both("delete", f"V3-{OWN_GUID}", code=SUCCESS)
        self.assertEqual(self.served.end(), 0)
        self.assertEqual(self.path("served.fd").read_bytes(), self.path("vars.fd").read_bytes())


class WatchTest(RemoteTest):
    def watch(self, daemon, *words):
        process = subprocess.Popen(
            [os.environ["EFISTORE_COMMAND"], "--store", daemon.locator, *words, "watch"]
            if words and words[0] == "--json" else
            [os.environ["EFISTORE_COMMAND"], "--store", daemon.locator, "watch", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        # Subscribed, when its connection is one more than before.
        time.sleep(0.5)
        return process

    def test_changes_are_told_as_they_are_made(self):
        with self.daemon() as daemon:
            process = self.watch(daemon)
            for words, line in ((["set", A, "--text", "abc"], f"set     nv,bs,rt           3  {A}\n"),
                                (["delete", A], f"deleted -                  -  {A}\n")):
                self.run_it(*words, store=daemon.locator)
                self.assertEqual(process.stdout.readline().decode(), line)
            # What changes nothing is no change.
            self.run_it("set", A, "--text", "x", store=daemon.locator)
            self.run_it("set", A, "--text", "x", store=daemon.locator)
            self.run_it("delete", A, store=daemon.locator)
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=TIMEOUT_S)
            self.assertEqual((process.returncode, said), (SUCCESS, b""))
            self.assertIn(len(out.splitlines()), (1, 2))

    def test_json(self):
        with self.daemon() as daemon:
            process = self.watch(daemon, "--json")
            self.run_it("set", A, "--text", "abc", store=daemon.locator)
            told = json.loads(process.stdout.readline())
            self.assertEqual((told["name"], told["guid"], told["deleted"], told["size"]),
                             ("A", OWN_GUID, False, 3))
            self.run_it("delete", A, store=daemon.locator)
            told = json.loads(process.stdout.readline())
            self.assertEqual((told["name"], told["deleted"]), ("A", True))

    def test_count(self):
        with self.daemon() as daemon:
            process = self.watch(daemon, "--count", "2")
            for text in ("1", "2"):
                self.run_it("set", A, "--text", text, store=daemon.locator)
                process.stdout.readline()
            self.assertEqual((process.wait(TIMEOUT_S), process.stderr.read()), (SUCCESS, b""))

    def test_the_end_of_the_daemon_is_told_with_one_line(self):
        for end in (Daemon.kill, Daemon.end):
            with self.daemon() as daemon:
                process = self.watch(daemon)
                end(daemon)
                out, said = process.communicate(timeout=TIMEOUT_S)
                self.assertEqual((process.returncode, out), (FAILURE, b""))
                self.assertRegex(said.decode(), r"\Aefistore: .*the daemon has closed .*\n\Z")

    def test_nobody_to_watch(self):
        self.fails("watch", message="vars.fd: changes can be watched where a daemon.*")
        self.fails("watch", store="unix:none", message="none: nobody listens there.*")


class CaptureTest(RemoteTest):
    def setUp(self):
        super().setUp()
        self.path("before.fd").write_bytes(self.path("vars.fd").read_bytes())

    def use(self, locator):
        self.run_it("set", A, "--text", "x", store=locator)
        self.run_it("set", "Boot0000", "-f", "-", stdin=OPTION, store=locator)
        self.run_it("list", "-l", store=locator)
        self.run_it("get", A, store=locator)
        self.run_it("apply", "-", stdin=json.dumps({"changes": [
            {"name": "A", "guid": OWN_GUID, "append": True, "text": "+"}]}).encode(), store=locator)
        self.spawn("--store", locator, "set", A, "-a", "nv,bs", "--text", "x")
        self.run_it("policy", "list", store=locator)
        self.run_it("info", store=locator)
        self.run_it("reclaim", store=locator)
        self.run_it("delete", A, store=locator)

    def captured(self, *options):
        with self.daemon("vars.fd", "--capture", "frames.pcapng", *options) as daemon:
            self.use(daemon.locator)
            self.assertEqual(daemon.end(), 0)
            self.assertEqual(daemon.said(), "")
        return daemon

    def test_a_replay_on_the_store_from_before(self):
        self.captured()
        self.assertEqual(self.path("frames.pcapng").stat().st_mode & 0o777, 0o600)
        shown = self.text("replay", "frames.pcapng", store="before.fd")
        self.assertRegex(shown, r"\A[1-9][0-9]+ requests, 0 answered otherwise\n\Z")
        self.assertEqual(self.contents("before.fd"), self.contents("vars.fd"))

    def test_a_replay_on_another_store(self):
        self.captured()
        self.run_it("set", A, "-a", "nv,bs", "--text", "other", store="before.fd")
        done = self.spawn("--store", "before.fd", "replay", "frames.pcapng")
        self.assertEqual(done.returncode, FAILURE)
        self.assertRegex(done.stderr.decode(),
                         r"\Aefistore: frames.pcapng: [0-9]+ of [0-9]+ requests are answered "
                         r"otherwise\n\Z")
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"\Arequest [0-9]+: ")
        self.assertRegex(lines[-1], r"\A[0-9]+ requests, [1-9][0-9]* answered otherwise\Z")
        self.path("again.fd").write_bytes(self.path("vars.fd").read_bytes())
        done = self.spawn("--store", "again.fd", "--json", "replay", "frames.pcapng")
        self.assertEqual(set(json.loads(done.stdout)), {"requests", "differences"})

    def test_a_replay_on_a_daemon(self):
        self.captured()
        other = self.daemon("before.fd", name="other").start()
        shown = self.text("replay", "frames.pcapng", store=other.locator)
        self.assertRegex(shown, r"\A[1-9][0-9]+ requests, 0 answered otherwise\n\Z")

    def test_what_is_no_capture(self):
        self.path("noise").write_bytes(b"noise" * 100)
        self.fails("replay", "noise", message="noise: offset 0: .*")
        self.fails("replay", "none", message="none: .*")

    def test_a_capture_that_cannot_be_written_ends_and_serving_goes_on(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            # More than the image, which is there in full.
            size = 0x84000 + 20000
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        with self.daemon("vars.fd", "--capture", "frames.pcapng", preexec=limit) as daemon:
            data = b"x" * 20000
            for number in range(60):
                self.run_it("set", f"V{number % 3}-{OWN_GUID}", "-f", "-",
                            stdin=data[number:], store=daemon.locator)
                if daemon.said():
                    break
            self.assertRegex(daemon.said(), r"\Aefistored: write the capture: .*; the capture ends here\n\Z")
            self.run_it("set", A, "--text", "on", store=daemon.locator)
            said = daemon.said()
            self.assertEqual(self.text("get", A, "--text", store=daemon.locator), "on\n")
            self.assertEqual((daemon.end(), daemon.said()), (0, said))
        # What was written before is good.
        done = self.spawn("--store", "before.fd", "replay", "frames.pcapng")
        self.assertIn(b" requests, 0 answered otherwise\n", done.stdout)


if __name__ == "__main__":
    script_test.main()
