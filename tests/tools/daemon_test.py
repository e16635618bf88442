# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistored as a process: starting and ending, what it gives up, and what it says."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

import command
import script_test
from command import FAILURE, OWN_GUID, SUCCESS, USAGE
from daemon_process import TIMEOUT_S, Daemon, environment_for_daemon, program, wait_until

NOBODY = "nobody"
A = f"A-{OWN_GUID}"


class DaemonTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.run_it("create")

    def daemon(self, *options, **more) -> Daemon:
        daemon = Daemon(self.folder, "vars.fd", *options, **more)
        self.addCleanup(daemon.close)
        return daemon

    def refuses(self, *words, message: str, code=FAILURE, environment=None, **options):
        """A start that must fail with one line."""
        done = subprocess.run([program(), *map(str, words)], capture_output=True, cwd=self.folder,
                              env=environment_for_daemon(environment), timeout=TIMEOUT_S, **options)
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (code, b""), said)
        self.assertRegex(said, r"\Aefistored: (?:" + message + r")\n\Z")

    def elsewhere(self) -> pathlib.Path:
        """A folder that is not the store's."""
        folder = tempfile.TemporaryDirectory(prefix="efistore-elsewhere-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        return pathlib.Path(folder.name)

    def as_nobody(self, locator, *words):
        if os.geteuid() != 0:
            script_test.missing("becoming another user takes root")
        nobody = pwd.getpwnam(NOBODY)
        # What is built need not be in reach of everybody.
        copy = self.path("efistore")
        if not copy.exists():
            shutil.copy(os.environ["EFISTORE_COMMAND"], copy)
        return subprocess.run([copy, "--store", locator, *words], capture_output=True,
                              cwd=self.folder, user=nobody.pw_uid, group=nobody.pw_gid,
                              extra_groups=[], env=environment_for_daemon(), timeout=TIMEOUT_S)

    def set(self, daemon: Daemon, text: str, name=A):
        self.run_it("set", name, "--text", text, store=daemon.locator)

    def get(self, store, name=A) -> str:
        return self.text("get", name, "--text", store=store).rstrip("\n")


class StartAndEndTest(DaemonTest):
    def test_the_service_manager_hears_of_every_step(self):
        with self.daemon() as daemon:
            self.assertIn("READY=1\nSTATUS=Reads; the flash is being recovered.", daemon.notified)
            self.assertIn("STATUS=Reads and writes.", daemon.notified)
            self.assertEqual(stat.S_IMODE(os.stat(daemon.socket).st_mode), 0o666)
            self.assertEqual(daemon.end(), 0)
            self.assertTrue(daemon.hear("STOPPING=1"))
            self.assertEqual(daemon.said(), "")

    def test_ending_leaves_the_socket_to_the_next_start_wherever_it_is(self):
        for place in (self.path("beside.sock"), self.elsewhere() / "run" / "daemon.sock"):
            for end in (signal.SIGTERM, signal.SIGINT):
                daemon = self.daemon(socket_path=place).start()
                self.set(daemon, "x")
                daemon.signal(end)
                self.assertEqual(daemon.wait(), 0, daemon.said())
                # A confined daemon can remove nothing there.
                self.assertTrue(place.exists(), place)
                self.fails("get", A, store=daemon.locator, message=".*")

    def test_a_service_manager_may_listen_at_an_abstract_name(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            name = f"efistored-test-{os.getpid()}"
            manager.bind(f"\0{name}")
            manager.settimeout(TIMEOUT_S)
            self.daemon(environment={"NOTIFY_SOCKET": f"@{name}"}).spawn()
            self.assertIn(b"READY=1", manager.recv(4096))

    def test_it_starts_without_one_that_listens(self):
        for place in ("", "@", "relative", str(self.path("none")), "/" + "x" * 200, "vsock:2:1"):
            daemon = self.daemon(environment={"NOTIFY_SOCKET": place}).spawn()
            wait_until(lambda: self.spawn("--store", daemon.locator, "set", A, "--text",
                                          "x").returncode == SUCCESS, place)
            self.assertEqual((daemon.end(), daemon.said()), (0, ""), place)

    def test_the_watchdog_is_fed(self):
        with self.daemon(environment={"WATCHDOG_USEC": "200000"}) as daemon:
            for _ in range(3):
                self.assertTrue(daemon.hear("WATCHDOG=1"))
                daemon.notified.clear()

    def test_a_watchdog_of_another_process_is_not(self):
        with self.daemon(environment={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}) as daemon:
            self.set(daemon, "x")
            daemon.notified.clear()
            self.assertEqual(daemon.end(), 0)
            self.assertTrue(daemon.hear("STOPPING=1"))
            self.assertNotIn("WATCHDOG=1", daemon.notified)

    def test_what_was_answered_survives_a_kill(self):
        daemon = self.daemon().start()
        for number in range(20):
            self.set(daemon, str(number), f"V{number}-{OWN_GUID}")
            if number % 5 == 4:
                daemon.kill()
                daemon.start()  # over the socket that was left behind
        for number in range(20):
            self.assertEqual(self.get(daemon.locator, f"V{number}-{OWN_GUID}"), str(number))
        daemon.kill()
        self.assertEqual(self.get("vars.fd", f"V19-{OWN_GUID}"), "19")


class SocketActivationTest(DaemonTest):
    def listener(self, kind=socket.SOCK_SEQPACKET, name="passed.sock", listening=True):
        passed = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(passed.close)
        passed.bind(str(self.path(name)))
        if listening:
            passed.listen()
        return passed

    def passing(self, *sockets):
        """What puts the sockets where a service manager does, in the daemon to be."""
        def prepare():
            high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.environ["LISTEN_FDS"] = str(len(sockets))
        return prepare

    def start_with(self, *sockets):
        # LISTEN_PID is known in the new process alone.
        return ["sh", "-c", f'LISTEN_FDS={len(sockets)} LISTEN_PID=$$ exec "$@"', "sh"]

    def run_with(self, *sockets):
        words = [*self.start_with(*sockets), program(), "--store", "vars.fd"]
        return subprocess.run(words, capture_output=True, cwd=self.folder, timeout=TIMEOUT_S,
                              close_fds=False, preexec_fn=self.passing(*sockets),
                              env=environment_for_daemon())

    def test_a_passed_socket_is_served_and_left(self):
        passed = self.listener()
        words = [*self.start_with(passed), program(), "--store", "vars.fd", "--socket", "other"]
        process = subprocess.Popen(words, cwd=self.folder, close_fds=False,
                                   preexec_fn=self.passing(passed), stderr=subprocess.PIPE,
                                   env=environment_for_daemon())
        try:
            locator = f"unix:{self.path('passed.sock')}"
            # Whoever comes before the daemon waits in the socket's queue, for an answer, and for
            # the flash.
            wait_until(lambda: self.spawn("--store", locator, "set", A, "--text", "x").returncode
                       == SUCCESS, "the daemon")
            self.assertEqual(self.get(locator), "x")
            self.assertFalse(self.path("other").exists())
        finally:
            process.terminate()
            said = process.communicate(timeout=TIMEOUT_S)[1]
        self.assertEqual((process.returncode, said), (0, b""))
        self.assertTrue(self.path("passed.sock").exists())

    def test_other_kinds_are_refused(self):
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in ends:
            self.addCleanup(end.close)
        kinds = {"a stream": [self.listener(socket.SOCK_STREAM, "stream")],
                 "not listening": [self.listener(name="quiet", listening=False)],
                 "a connection": [ends[0]],
                 "two": [self.listener(name="1"), self.listener(name="2")]}
        for kind, sockets in kinds.items():
            with self.subTest(kind=kind):
                done = self.run_with(*sockets)
                self.assertEqual(done.returncode, FAILURE, done.stderr)
                self.assertRegex(done.stderr.decode(),
                                 r"\Aefistored: the service manager passed [^\n]*expected [^\n]*\n\Z")


class RefusalTest(DaemonTest):
    def test_options(self):
        store = ["--store", "vars.fd"]
        for words in ([], [*store, "--phase", "late"], [*store, "--idle", "x"],
                      [*store, "--unheard-of"], [*store, "more"],
                      [*store, "--max-variable-size", "-1"], [*store, "--budget", "-1"],
                      [*store, "--burst", "1000"]):
            self.refuses(*words, code=USAGE, message=".+")
        for permission, why in (("any", "expected WHO=RIGHTS"),
                                ("any=fly", '"fly" is no right.*'),
                                ("any=", '"" is no right.*'),
                                ("any=read,", '"" is no right.*'),
                                ("all=read", "expected user:NAME.*"),
                                ("user:=read", "expected user:NAME.*"),
                                ("user:no-such-user=all", 'there is no user "no-such-user"'),
                                ("group:no-such-group=all", 'there is no group "no-such-group"')):
            self.refuses(*store, "--allow", permission, code=USAGE,
                         message=f'permission "{permission}": {why}')
        self.assertFalse(self.path("efistored.sock").exists())

    def test_configuration(self):
        self.refuses("--config", "none.conf", message=".*none.conf.*")
        for text, code in (("unheard-of=1\n", FAILURE), ("allow=any=fly\nstore=vars.fd\n", USAGE),
                           ("store\n", FAILURE), ("[section]\nstore=vars.fd\n", FAILURE)):
            self.path("daemon.conf").write_text(text)
            self.refuses("--config", "daemon.conf", "--socket", "s", code=code, message=".+")

    def test_stores(self):
        self.path("blank.fd").write_bytes(b"\xff" * 0x84000)
        self.path("noise.fd").write_bytes(b"noise" * 10000)
        self.path("folder").mkdir()
        for store, why in (("none.fd", "No such file or directory"), ("blank.fd", "blank"),
                           ("noise.fd", ".*"), ("folder", ".*"), ("mtd:none", ".*"),
                           ("unix:/x", ".*"), ("", ".*")):
            code = USAGE if store == "" else FAILURE
            self.refuses("--store", store, "--socket", "s", code=code,
                         message=f".*{store}.*{why}.*" if store else ".+")
            self.assertFalse(self.path("s").exists())

    def test_places(self):
        store = ["--store", "vars.fd"]
        self.path("file").write_text("mine")
        self.refuses(*store, "--socket", "file", message="file is there and no socket")
        self.assertEqual(self.path("file").read_text(), "mine")
        self.refuses(*store, "--socket", "file/s", message=".*file/s.*")
        self.refuses(*store, "--socket", "x" * 200, message="x+: a socket's path has .*")
        self.refuses(*store, "--socket", "s", "--user", "no-such-user",
                     message='there is no user "no-such-user"')
        for mode in (0o644, 0o600):
            os.chmod(self.path("file"), mode)
            self.refuses(*store, "--socket", "s", "--capture", "file",
                         message="the capture file: it is there.*")
            self.assertEqual(self.path("file").read_text(), "mine")
            # Before anybody is let in, as reading it takes its time.
            self.refuses(*store, "--socket", "file", "--kmod", "--module-node", "none",
                         "--capture", "file", message="the capture file: it is there.*")
        self.refuses(*store, "--socket", "s", "--capture", "none/c", message=".*none/c.*")
        self.refuses(*store, "--socket", "s", "--capsules", "file/c", message=".*file.*")
        self.refuses(*store, "--socket", "s", "--kmod", "--module-node", "none",
                     message=".*none.*")
        self.assertFalse(self.path("s").exists(), "a refused start left its socket")

    def test_who_has_it_is_told(self):
        with self.daemon() as daemon:
            self.refuses("--store", "vars.fd", "--socket", "other",
                         message=f"vars.fd is in use by process {daemon.process.pid} .*")
            self.run_it("create", store="other.fd")
            self.refuses("--store", "other.fd", "--socket", daemon.socket,
                         message=f"{daemon.socket}: another daemon listens there")
            # The command is told the same, and where to go.
            self.fails("set", A, "--text", "x", message=f"vars.fd is in use by process {daemon.process.pid} .*")
            self.set(daemon, "x")
        self.assertFalse(self.path("other").exists())


class PermissionTest(DaemonTest):
    def test_others_read_unless_told_otherwise(self):
        with self.daemon() as daemon:
            self.set(daemon, "x")
            self.assertEqual(self.as_nobody(daemon.locator, "get", A, "--raw").stdout, b"x")
            done = self.as_nobody(daemon.locator, "set", A, "--text", "y")
            self.assertEqual(done.returncode, FAILURE)
            self.assertRegex(done.stderr.decode(), r"\Aefistore: .*EFI_ACCESS_DENIED.*\n\Z")

    def test_sighup_reads_them_again(self):
        folder = self.elsewhere()
        config = folder / "daemon.conf"
        config.write_text("allow=any=none\n")
        with self.daemon("--config", config) as daemon:
            self.set(daemon, "x")
            steps = [("allow=any=read,write\n", True), ("allow=group:0=all\n", False),
                     (f"allow=user:{NOBODY}=write\nidle=20\n\n# all\nallow = any=read\n", True),
                     ("allow=any=none\n", False),
                     ("allow=group:0=all\nallow=\"any=read,write\"\n", True)]
            done = self.as_nobody(daemon.locator, "get", A)
            self.assertEqual(done.returncode, FAILURE, done.stdout)
            for number, (text, may) in enumerate(steps):
                with self.subTest(text=text):
                    if number % 2 == 0:
                        config.write_text(text)
                    else:  # as editors do it, and tools that want all or nothing
                        (folder / "new").write_text(text)
                        (folder / "new").replace(config)
                    daemon.signal(signal.SIGHUP)
                    wait_until(lambda: (self.as_nobody(daemon.locator, "set", A, "--text", "y")
                                        .returncode == SUCCESS) == may, f"the effect of {text}")
            # What cannot be understood changes nothing, and is said.
            config.write_text("allow=any=fly\n")
            self.assertEqual(daemon.said(), "")
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.said() != "", "a complaint")
            self.assertRegex(daemon.said(), r"\Aefistored: the configuration is left as it was: .*\n\Z")
            self.assertEqual(self.as_nobody(daemon.locator, "get", A).returncode, SUCCESS)


class ConfinementTest(DaemonTest):
    def status(self, daemon, process=None) -> dict:
        lines = pathlib.Path(f"/proc/{process or daemon.process.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def assert_confined(self, daemon):
        # All threads: the one of the recovery has ended.
        status = self.status(daemon)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))

    def test_nothing_is_left_but_serving(self):
        with self.daemon() as daemon:
            self.assert_confined(daemon)
            self.set(daemon, "x")

    def test_another_user(self):
        if os.geteuid() != 0:
            script_test.missing("becoming another user takes root")
        nobody = pwd.getpwnam(NOBODY)
        # The folder of the store stays root's: what is open stays open.
        with self.daemon("--user", NOBODY) as daemon:
            status = self.status(daemon)
            for kind, number in (("Uid", nobody.pw_uid), ("Gid", nobody.pw_gid)):
                self.assertEqual(status[kind].split(), [str(number)] * 4)
            self.assertEqual(status["Groups"], "")
            self.assert_confined(daemon)
            self.set(daemon, "x")
            self.assertEqual(daemon.end(), 0)

    def reader_of(self, daemon) -> int:
        """The process that reads the configuration."""
        children = pathlib.Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        (reader,) = map(int, children.read_text().split())
        return reader

    def test_without_a_configuration_it_is_one_process(self):
        with self.daemon() as daemon:
            children = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
            self.assertEqual(pathlib.Path(children).read_text(), "")
            daemon.signal(signal.SIGHUP)
            self.set(daemon, "x")
            self.assertEqual(daemon.said(), "")

    def test_who_reads_the_configuration_does_nothing_else(self):
        self.path("daemon.conf").write_text("allow=any=none\n")
        with self.daemon("--config", "daemon.conf") as daemon:
            reader = self.reader_of(daemon)
            self.assertEqual(pathlib.Path(f"/proc/{reader}/comm").read_text(), "efistored-conf\n")
            status = self.status(daemon, reader)
            self.assertEqual((int(status["CapEff"], 16), status["NoNewPrivs"]), (0, "1"))
            # Not the flash, nor its lock, nor the daemon's sockets.
            files = [os.readlink(f"/proc/{reader}/fd/{fd}") for fd in os.listdir(f"/proc/{reader}/fd")]
            self.assertEqual(len([f for f in files if f.startswith("socket:")]), 1, files)
            self.assertFalse([f for f in files if f.endswith("vars.fd")], files)
            os.kill(reader, signal.SIGHUP)  # of a terminal that goes away
            daemon.signal(signal.SIGHUP)
            self.set(daemon, "x")
            self.assertEqual(self.reader_of(daemon), reader)
            daemon.kill()
            wait_until(lambda: not os.path.exists(f"/proc/{reader}"), "the end of both")

    def test_if_it_is_gone_that_is_said(self):
        self.path("daemon.conf").write_text("allow=any=none\n")
        with self.daemon("--config", "daemon.conf") as daemon:
            os.kill(self.reader_of(daemon), signal.SIGKILL)
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.said() != "", "a complaint")
            self.assertRegex(daemon.said(), r"\Aefistored: the configuration is left as it was: "
                                            r"the process that reads the configuration is gone.*\n\Z")
            self.set(daemon, "x")
            self.assertEqual(daemon.end(), 0)

    def test_another_users_daemon_reads_again_what_only_root_may_read(self):
        if os.geteuid() != 0:
            script_test.missing("becoming another user takes root")
        config = self.path("daemon.conf")
        config.write_text("allow=any=read\n")
        os.chmod(config, 0o600)
        with self.daemon("--config", config, "--user", NOBODY) as daemon:
            config.write_text("allow=any=fly\n")
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.said() != "", "a complaint")
            self.assertIn('"fly" is no right', daemon.said())


class ServingTest(DaemonTest):
    def test_read_only(self):
        self.run_it("set", A, "--text", "x")
        with self.keeps("vars.fd"):
            with self.daemon("--read-only") as daemon:
                self.assertEqual(self.get(daemon.locator), "x")
                for words in (["set", A, "--text", "y"], ["delete", A], ["reclaim"]):
                    self.fails(*words, store=daemon.locator, message=".*")
                info = self.json("info", store=daemon.locator)
                self.assertEqual((info["writable"], info["health"]), (False, "read-only"))
                self.assertEqual(daemon.end(), 0)

    def test_the_phase(self):
        self.run_it("set", f"Early-{OWN_GUID}", "-a", "nv,bs", "--text", "x")
        with self.daemon("--phase", "boot") as daemon:
            self.assertEqual(self.get(daemon.locator, f"Early-{OWN_GUID}"), "x")
            self.assertEqual(self.json("info", store=daemon.locator)["phase"], "boot")
        with self.daemon() as daemon:
            self.fails("get", f"Early-{OWN_GUID}", store=daemon.locator, message=".*not found.*|.*NOT_FOUND.*|.*no variable.*")
            self.assertEqual(self.json("info", store=daemon.locator)["phase"], "runtime")

    def test_limits(self):
        with self.daemon("--max-variable-size", "1024") as daemon:
            self.assertEqual(self.json("info", store=daemon.locator)["limits"]
                             ["maximum_variable_size"] <= 1024, True)
            self.fails("set", A, "--text", "x" * 1100, store=daemon.locator, message=".*")
            self.set(daemon, "x" * 800)

    def test_who_writes_too_much_is_refused(self):
        nobody = pwd.getpwnam(NOBODY)
        with self.daemon("--budget", "1000", "--burst", "1500", "--allow", "any=read,write") as daemon:
            def refused(why, *words):
                done = self.as_nobody(daemon.locator, *words)
                self.assertEqual(done.returncode, FAILURE, done.stderr)
                self.assertRegex(done.stderr.decode(), rf"\Aefistore: .*{why}.*\n\Z")

            refused("EFI_ACCESS_DENIED.* bytes of the write budget, and a user may write 1500 at once",
                    "set", A, "--text", "x" * 1600)
            done = self.as_nobody(daemon.locator, "set", A, "--text", "x" * 1000)
            self.assertEqual(done.returncode, SUCCESS, done.stderr)
            refused(f"EFI_OUT_OF_RESOURCES.*user {nobody.pw_uid} may write again in .* s",
                    "set", A, "--text", "y" * 1000)
            self.assertEqual(self.get(daemon.locator), "x" * 1000)
            done = self.as_nobody(daemon.locator, "delete", A)
            self.assertEqual(done.returncode, SUCCESS, done.stderr)
            # It would cost what nobody has, and keep all others out.
            refused("EFI_ACCESS_DENIED.*at once", "reclaim")
            # root is outside of it.
            for _ in range(8):
                self.set(daemon, "x" * 1600)
                self.set(daemon, "y" * 1600)
            self.run_it("reclaim", store=daemon.locator)
        with self.daemon("--budget", "0", "--allow", "any=read,write") as daemon:
            for text in ("x" * 1600, "y" * 1600):
                done = self.as_nobody(daemon.locator, "set", A, "--text", text)
                self.assertEqual(done.returncode, SUCCESS, done.stderr)

    def entries(self, name, *options) -> pathlib.Path:
        """A file with the entry of a policy."""
        self.run_it("create", store="other.fd")
        self.run_it("policy", "register", name, *options, store="other.fd")
        kept = self.path("other.fd.policy")
        file = self.path(f"{name}.entry")
        file.write_bytes(kept.read_bytes()[32:])
        kept.unlink()
        self.path("other.fd").unlink()
        return file

    def test_policies_of_files_are_enforced(self):
        first = self.entries(A, "--lock", "on-create")
        second = self.entries(f"B-{OWN_GUID}", "--max", "2")
        options = ["--policy", first, "--policy", second]
        with self.daemon(*options) as daemon:
            self.set(daemon, "x")
            for words, status in ((["set", A, "--text", "y"], "EFI_WRITE_PROTECTED"),
                                  (["set", f"B-{OWN_GUID}", "--text", "yyy"],
                                   "EFI_INVALID_PARAMETER"),
                                  (["policy", "register", "C", "--lock", "now"],
                                   "EFI_WRITE_PROTECTED")):
                self.fails(*words, store=daemon.locator, message=f".*{status}.*")
            listed = self.json("policy", "list", store=daemon.locator)["policies"]
            self.assertEqual([policy["name"] for policy in listed], ["A", "B"])
        # They go with the option.
        self.assertFalse(self.path("vars.fd.policy").exists())
        with self.daemon() as daemon:
            self.set(daemon, "y")
        # One that is kept as well is there once.
        self.run_it("policy", "register", "-f", first)
        with self.daemon(*options) as daemon:
            listed = self.json("policy", "list", store=daemon.locator)["policies"]
            self.assertEqual([policy["name"] for policy in listed], ["A", "B"])

    def test_policies_that_cannot_be_registered_are_refused(self):
        file = self.entries(A, "--lock", "on-create")
        words = ["--store", "vars.fd", "--socket", "s", "--policy"]
        self.refuses(*words, "none", message=".*none.*")
        self.path("empty").write_bytes(b"")
        self.refuses(*words, "empty", message="empty: no bytes, expected a policy's entry")
        self.path("cut").write_bytes(file.read_bytes()[:-1])
        self.refuses(*words, "cut", message="cut: .*")
        self.run_it("policy", "register", A, "--lock", "now")
        self.refuses(*words, file, message=f"vars.fd: there is another policy for {A}")

    def test_a_capture_goes_on_in_the_next_daemon(self):
        shutil.copy(self.path("vars.fd"), self.path("copy.fd"))
        options = ["--capture", "frames"]
        for number in range(3):
            daemon = self.daemon(*options).start()
            # Of volatile variables the next one knows nothing.
            self.fails("get", f"V-{OWN_GUID}", store=daemon.locator, message=".*NOT_FOUND.*")
            self.set(daemon, str(number), f"N{number}-{OWN_GUID}")
            if number == 1:
                daemon.kill()
                with open(self.path("frames"), "ab") as frames:
                    frames.write(b"\x06\0\0\0\x80\0\0\0cut")
            else:
                self.assertEqual(daemon.end(), 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("frames")).st_mode), 0o600)
        replayed = self.json("replay", "frames", store="copy.fd")
        self.assertEqual(replayed["differences"], [])
        self.assertGreaterEqual(replayed["requests"], 6)
        for number in range(3):
            self.assertEqual(self.get("copy.fd", f"N{number}-{OWN_GUID}"), str(number))

    def test_a_damaged_store_is_read(self):
        self.run_it("set", A, "--text", "x")
        self.run_it("set", f"B-{OWN_GUID}", "--text", "y")
        image = bytearray(self.path("vars.fd").read_bytes())
        at = image.rindex(b"\xaa\x55\x3f")
        image[at] = 0x54  # the start of the last record
        self.path("vars.fd").write_bytes(image)
        with self.keeps("vars.fd"):
            with self.daemon() as daemon:
                self.assertRegex(daemon.said(), r"\Aefistored: .*damaged and is only read.*\n\Z")
                shown = self.text("get", A, "--text", store=daemon.locator,
                                  warnings=r"\Aefistore: warning: unix:.* is damaged.*\n\Z")
                self.assertEqual(shown, "x\n")
                self.spawn("--store", daemon.locator, "set", A, "--text", "y")
                self.assertEqual(self.json("info", store=daemon.locator)["health"], "damaged")

    def cut_images(self):
        """The store as a power cut leaves it in each phase of a reclaim."""
        helper = pathlib.Path(os.environ["EFISTORE_BINARY_DIR"]) / "tests/system/record_reclaim"
        if not helper.exists():
            script_test.missing("record_reclaim is not built")
        lines = script_test.run([helper, self.path("vars.fd")]).stdout.decode().splitlines()
        image = bytearray(self.path("vars.fd").read_bytes())
        wanted = {round(len(lines) * part / 8) for part in range(1, 8)}
        for number, line in enumerate(lines):
            kind, offset, rest = line.split()
            data = b"\xff" * int(rest, 16) if kind == "E" else bytes.fromhex(rest)
            at = int(offset, 16)
            if number in wanted:  # in the middle of this operation
                image[at:at + len(data) // 2] = data[:len(data) // 2]
                yield number, bytes(image)
            image[at:at + len(data)] = data

    def test_a_write_that_was_cut_is_finished_behind_readers(self):
        for number in range(6):
            self.run_it("set", f"V{number}-{OWN_GUID}", "--text", str(number) * 1000)
        for text in ("old", "new"):
            self.run_it("set", A, "--text", text)
        expected = self.contents()
        cuts = list(self.cut_images())
        self.assertGreaterEqual(len(cuts), 6)
        for number, image in cuts:
            with self.subTest(operation=number):
                self.path("cut.fd").write_bytes(image)
                daemon = Daemon(self.folder, "cut.fd", name="cut")
                self.addCleanup(daemon.close)
                daemon.start(writable=False)
                seen = self.contents(store=daemon.locator)
                self.assertEqual({k: v for k, v in seen.items() if k in expected}, expected)
                self.assertTrue(daemon.hear("Reads and writes."))
                self.set(daemon, "newer")
                self.assertEqual(self.get(daemon.locator), "newer")
                daemon.kill()
                self.run_it("check", store="cut.fd")
                self.assertEqual(self.get("cut.fd"), "newer")


if __name__ == "__main__":
    script_test.main()
