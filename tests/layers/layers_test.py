# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The check of the layers finds what it is there to find, and passes what is allowed."""

import pathlib
import tempfile
import unittest

import layers


class LayersTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efistore-layers-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for layer in layers.MAY_INCLUDE:
            self.write(f"lib/include/efistore/{layer}/{layer}.hpp", "#pragma once\n")
            self.write(f"lib/{layer}/{layer}.cpp", f'#include "efistore/{layer}/{layer}.hpp"\n')

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def assert_refused(self, *parts):
        found = layers.violations(self.root)
        self.assertEqual(1, len(found), found)
        for part in parts:
            self.assertIn(part, found[0])

    def assert_passed(self):
        self.assertEqual([], layers.violations(self.root))

    def test_downwards_and_own_headers_pass(self):
        self.write("lib/store/inner.hpp", "")
        self.write("lib/store/store.cpp",
                   '#include <vector>\n#include "inner.hpp"\n'
                   '#include "efistore/flash/flash.hpp"\n#include "efistore/base/base.hpp"\n')
        self.assert_passed()

    def test_every_include_upwards_is_refused(self):
        order = ["base", "flash", "store", "variable"]
        for number, lower in enumerate(order):
            for upper in order[number + 1:] + ["exchange"]:
                with self.subTest(lower=lower, upper=upper):
                    included = f"efistore/{upper}/{upper}.hpp"
                    self.write("lib/include/efistore/%s/probe.hpp" % lower,
                               f'\n#include "{included}"\n')
                    self.assert_refused(f"efistore/{lower}/probe.hpp:2:", included)
                    (self.root / f"lib/include/efistore/{lower}/probe.hpp").unlink()

    def test_exchange_and_variable_do_not_know_each_other(self):
        self.write("lib/exchange/probe.cpp", '#include "efistore/variable/variable.hpp"\n')
        self.assert_refused("lib/exchange/probe.cpp:1:", "variable/variable.hpp")

    def test_angle_brackets_hide_nothing(self):
        self.write("lib/base/probe.cpp", "#  include <efistore/store/store.hpp>\n")
        self.assert_refused("lib/base/probe.cpp:1:")

    def test_private_header_of_another_layer_is_refused(self):
        self.write("lib/flash/inner.hpp", "")
        self.write("lib/store/probe.cpp", '#include "../flash/inner.hpp"\n')
        self.assert_refused("lib/store/probe.cpp:1:", "not a private header")
        self.write("lib/store/probe.cpp", '#include "inner.hpp"\n')
        self.assert_refused("lib/store/probe.cpp:1:", "not a private header")

    def test_layer_outside_the_table_is_refused(self):
        self.write("lib/graphics/picture.cpp", "")
        self.assert_refused("lib/graphics", "table")

    def test_header_that_is_not_there_is_refused(self):
        self.write("lib/store/probe.cpp", '#include "efistore/base/gone.hpp"\n')
        self.assert_refused("no public header")

    def test_programs_see_public_headers_and_their_own(self):
        self.write("tools/common/text.hpp", "")
        self.write("tools/efistore/main.cpp",
                   '#include "common/text.hpp"\n#include "efistore/variable/variable.hpp"\n')
        self.assert_passed()

    def test_program_that_reaches_into_the_library_is_refused(self):
        self.write("lib/store/inner.hpp", "")
        for included in ("../lib/store/inner.hpp", "inner.hpp", "store/inner.hpp"):
            with self.subTest(included=included):
                self.write("efivarfs-shim/main.cpp", f'#include "{included}"\n')
                self.assert_refused("efivarfs-shim/main.cpp:1:", included)


if __name__ == "__main__":
    unittest.main()
