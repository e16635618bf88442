# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What holds for every file of the tree, whoever wrote it."""

import pathlib
import re
import shutil
import subprocess
import unittest

import script_test
from script_test import SOURCE_DIR

CLANG_FORMAT = "clang-format-14"
MAX_LINES = 600
CXX_SUFFIXES = {".c", ".cpp", ".h", ".hpp"}
SOURCE_SUFFIXES = CXX_SUFFIXES | {".py", ".cmake", ".sh"}
LICENCE_LINE = re.compile(r"SPDX-License-Identifier: \(?(BSD-2-Clause-Patent|GPL-2\.0-only)\b")
# Kernel code is under the kernel's licence and in the kernel's style.
KERNEL_DIRS = {pathlib.PurePath("kmod"), pathlib.PurePath("tests/norsim")}
# Scripts that run inside a guest have a root directory of their own.
GUEST_SCRIPTS = ("tests/guest/init", "tests/guest/*-in-guest.sh",
                 "tests/kmod/*-in-guest.sh", "tests/kmod/guest-lib.sh")

# An absolute path is one of somebody's machine unless it begins like this.
STANDARD_ROOTS = {"bin", "boot", "dev", "etc", "lib", "mnt", "proc", "run", "sbin", "sys", "tmp",
                  "usr", "var"}
ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'`=(])/([A-Za-z][\w.-]*)/([\w.-]*)""", re.MULTILINE)
FIXED_TEMPORARY = re.compile(r"^/tmp/[\w-]")


def tracked_files():
    """The files of the tree: git's, with those not yet added; without git, all outside build/."""
    if shutil.which("git"):
        done = subprocess.run(
            ["git", "-c", f"safe.directory={SOURCE_DIR}", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], cwd=SOURCE_DIR, capture_output=True)
        if done.returncode == 0:
            names = sorted(filter(None, done.stdout.decode().split("\0")))
            return [path for path in map(pathlib.PurePath, names) if (SOURCE_DIR / path).is_file()]
    return sorted(path.relative_to(SOURCE_DIR) for path in SOURCE_DIR.rglob("*")
                  if path.is_file() and path.relative_to(SOURCE_DIR).parts[0] not in
                  ("build", ".git") and "__pycache__" not in path.parts)


def text_of(path):
    """The file's text; None if it is binary."""
    data = (SOURCE_DIR / path).read_bytes()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_source(path, text):
    return (path.suffix in SOURCE_SUFFIXES or path.name == "CMakeLists.txt" or
            text.startswith("#!"))


def foreign_paths(text):
    """Absolute paths that other machines do not have, or that two runs would share."""
    for match in ABSOLUTE_PATH.finditer(text):
        path = match[0].lstrip(" \t\n\"'`=(")
        if match[1] not in STANDARD_ROOTS or FIXED_TEMPORARY.match(path):
            yield text.count("\n", 0, match.start(1)) + 1, path


class HygieneTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.texts = {path: text for path in tracked_files() if (text := text_of(path)) is not None}
        assert cls.texts, f"there are no files in {SOURCE_DIR}"

    def sources(self):
        return {path: text for path, text in self.texts.items() if is_source(path, text)}

    def test_licence_line_comes_first(self):
        for path, text in self.sources().items():
            lines = text.splitlines()
            first = lines[1:2] if text.startswith("#!") else lines[:1]
            with self.subTest(path=str(path)):
                self.assertTrue(first and LICENCE_LINE.search(first[0]), "no SPDX line")

    def test_licence_is_the_folders(self):
        for path, text in self.sources().items():
            match = LICENCE_LINE.search(text)
            kernel = not KERNEL_DIRS.isdisjoint(path.parents)
            with self.subTest(path=str(path)):
                if match and not kernel:
                    self.assertEqual("BSD-2-Clause-Patent", match[1])

    def test_files_are_short_enough_to_read(self):
        for path, text in self.sources().items():
            with self.subTest(path=str(path)):
                self.assertLessEqual(text.count("\n"), MAX_LINES)

    def test_no_path_of_a_machine(self):
        for path, text in self.texts.items():
            # A .gitignore's paths begin at the top of the tree.
            if path.name == ".gitignore" or any(map(path.match, GUEST_SCRIPTS)):
                continue
            with self.subTest(path=str(path)):
                self.assertEqual([], list(foreign_paths(text)))

    def test_foreign_paths_are_found(self):
        wrong = "x = '" + "/".join(["", "somewhere", "x"]) + "'\n" + "/".join(["", "tmp", "x"])
        self.assertEqual([1, 2], [line for line, _ in foreign_paths(wrong)])
        self.assertEqual([], list(foreign_paths("// a /dev/mtd0 and /usr/share/OVMF/x and/or/ y")))

    def test_code_is_formatted(self):
        clang_format = script_test.need_program(CLANG_FORMAT)
        files = [str(path) for path in self.texts
                 if path.suffix in CXX_SUFFIXES and KERNEL_DIRS.isdisjoint(path.parents)]
        done = subprocess.run([clang_format, "--dry-run", "-Werror", *files], cwd=SOURCE_DIR,
                              capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_text_files_end_lines_cleanly(self):
        for path, text in self.sources().items():
            with self.subTest(path=str(path)):
                self.assertNotIn("\r", text)
                self.assertNotRegex(text, r"[ \t]\n")
                self.assertTrue(text.endswith("\n"))


if __name__ == "__main__":
    script_test.main()
