# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What `cmake --install` leaves behind is enough for other projects.

The library is built and installed below a folder, static and shared, and a program uses it from
there through find_package() and through pkg-config.
"""

import os
import pathlib
import re
import shlex
import tempfile
import unittest

import script_test
from script_test import SOURCE_DIR

CONSUMER_DIR = pathlib.Path(__file__).resolve().parent / "consumer"
COMPILER = os.environ.get("CXX", "g++")
# Two builds of the whole library, on a machine that others use as well.
TIMEOUT_S = 900
GREETING = "consumer: 2 bytes read back"


def run(*command, **options) -> str:
    return script_test.run(command, timeout_s=TIMEOUT_S, **options).stdout.decode()


class InstallTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efistore-install-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.root = self.folder / "root"
        self.prefix = self.root / "usr"

    def install(self, *, shared: bool):
        build = self.folder / "library"
        run("cmake", "-S", SOURCE_DIR, "-B", build, "-G", "Ninja", "-DCMAKE_INSTALL_PREFIX=/usr",
            "-DCMAKE_INSTALL_LIBDIR=lib",
            # How fast the code is does not matter here, how fast it compiles does.
            "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
            f"-DBUILD_SHARED_LIBS={'ON' if shared else 'OFF'}", "-DBUILD_TESTING=OFF",
            "-DEFISTORE_BUILD_TOOLS=OFF", "-DEFISTORE_BUILD_SHIM=OFF")
        run("cmake", "--build", build, "-j2")
        run("cmake", "--install", build, env={**os.environ, "DESTDIR": str(self.root)})

    def check_consumers(self, *, shared: bool):
        self.check_find_package(shared)
        self.check_pkg_config(shared)

    def check_find_package(self, shared):
        build = self.folder / "by-cmake"
        run("cmake", "-S", CONSUMER_DIR, "-B", build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.assertIn(str(self.prefix), (build / "CMakeCache.txt").read_text(),
                      "the package was found elsewhere")
        run("cmake", "--build", build)
        self.check_program(build / "consumer", shared)

    def check_pkg_config(self, shared):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.prefix / "lib/pkgconfig")}
        flags = run("pkg-config", "--cflags", "--libs", "efistore", env=environment)
        program = self.folder / "by-pkg-config"
        run(COMPILER, "-o", program, CONSUMER_DIR / "main.cpp", *shlex.split(flags))
        self.check_program(program, shared)

    def check_program(self, program, shared):
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self.prefix / "lib")}
        self.assertIn(GREETING, run(program, env=environment))
        needed = re.findall(r"NEEDED.*\[(libefistore.*)\]", run("readelf", "-d", program))
        self.assertEqual(1 if shared else 0, len(needed), needed)

    def check_installed_headers(self):
        """Every public header is there, and compiles by itself against installed headers only."""
        source = SOURCE_DIR / "lib/include"
        headers = sorted(path.relative_to(source) for path in source.rglob("*.hpp"))
        self.assertGreater(len(headers), 0)
        for header in headers:
            self.assertTrue((self.prefix / "include" / header).is_file(), header)
        probe = self.folder / "headers.cpp"
        probe.write_text("".join(f"#include <{header}>\n" for header in headers))
        run(COMPILER, "-std=c++20", "-fsyntax-only", f"-I{self.prefix}/include", probe)

    def check_nothing_points_to_the_build(self):
        """No installed text file names a folder of the build or of the source."""
        for path in self.prefix.rglob("*"):
            if path.suffix in (".cmake", ".pc", ".hpp"):
                text = path.read_text()
                self.assertNotIn(str(self.folder), text, path)
                self.assertNotIn(str(SOURCE_DIR), text, path)

    def test_static_library(self):
        self.install(shared=False)
        self.check_nothing_points_to_the_build()
        self.check_installed_headers()
        self.check_consumers(shared=False)

    def test_shared_library(self):
        self.install(shared=True)
        self.check_nothing_points_to_the_build()
        self.check_consumers(shared=True)


if __name__ == "__main__":
    script_test.main()
