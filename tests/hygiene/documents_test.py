# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The documents name what is there: tests, files, sections."""

import re
import unittest

import script_test
from script_test import SOURCE_DIR

SPECIFICATION = SOURCE_DIR / "lib/SPEC.md"
TEST = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+),\s*(\w+)\)", re.MULTILINE)
# Suite.Name, its instance or a pattern in front; ".Name" is another one of the same suite.
NAMED = re.compile(r"^(?:\w+/)?(\w*)\.([A-Z*][\w*]*)$")


def tests_of_the_tree():
    found = set()
    for path in (SOURCE_DIR / "tests").rglob("*_test.cpp"):
        found |= {match.groups() for match in TEST.finditer(path.read_text())}
    return found


def last_cells(text):
    """The last cell of each row of the tables that have a column of tests, with its line."""
    column = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            column = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if re.match(r"test\b", cells[-1]):
            # "test (Suite)" says what a bare ".Name" is of.
            suite = re.search(r"\((\w+)\)", cells[-1])
            column = suite[1] if suite else True
        elif column:
            yield number, column if isinstance(column, str) else "", cells[-1]


class DocumentsTest(unittest.TestCase):

    def test_every_test_that_the_specification_names_is_there(self):
        there = tests_of_the_tree()
        count = 0
        for line, suite, cell in last_cells(SPECIFICATION.read_text()):
            for name in cell.split(","):
                match = NAMED.match(name.strip())
                if not match:
                    continue
                suite = match[1] or suite
                pattern = re.compile(match[2].replace("*", r"\w*"))
                count += 1
                with self.subTest(line=line, test=f"{suite}.{match[2]}"):
                    self.assertTrue(any(of == suite and pattern.fullmatch(test)
                                        for of, test in there), "there is no such test")
        self.assertGreater(count, 500)

    def test_every_row_of_the_reimplemented_system_has_a_place_and_a_test(self):
        section = SPECIFICATION.read_text().split("### The reimplemented system, row by row")[1]
        rows = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")][2:]
        self.assertEqual(21, len(rows))
        for row in rows:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            with self.subTest(row=cells[0]):
                self.assertEqual(5, len(cells))
                self.assertTrue(all(cells))


if __name__ == "__main__":
    script_test.main()
