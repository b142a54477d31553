#!/usr/bin/env python3
"""The sums that deploy/coverage prints."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "deploy"))
import coverage_table


class Table(unittest.TestCase):
    def test_files_are_added_up_by_folder_and_for_all(self):
        covered = {"base/clock.cc": (5, 10), "base/clock.h": (10, 10), "engine/cpu/a.cc": (1, 4), "engine/text/b.cc": (2, 2),
                   "clients/cpp/parley_call/c.cc": (0, 4)}
        rows = {line.split()[0]: line.split()[1:] for line in coverage_table.table(covered, list(covered)[:1])}
        self.assertEqual(rows["base"], ["20", "15", "75.0"])
        self.assertEqual(rows["engine/cpu"], ["4", "1", "25.0"])
        self.assertEqual(rows["engine/text"], ["2", "2", "100.0"])
        self.assertEqual(rows["clients/cpp"], ["4", "0", "0.0"])
        self.assertEqual(rows["all"], ["30", "18", "60.0"])

    def test_only_sources_of_the_tree_are_counted_by_whatever_name(self):
        names = ("/a/build/coverage/../../base/clock.cc", "/a/server/main.cc", "/a/tests/base/x.cc", "/a/build/coverage/y.pb.cc",
                 "/usr/include/z.h")
        summary = {"data": [{"files": [{"filename": name, "summary": {"lines": {"count": 4, "covered": 3}}} for name in names]}]}
        self.assertEqual(coverage_table.read_summary(summary, "/a"), {"base/clock.cc": (3, 4), "server/main.cc": (3, 4)})

    def test_a_source_that_is_not_built_is_named(self):
        self.assertIn("server/main.cc", list(coverage_table.table({"base/a.cc": (1, 1)}, ["base/a.cc", "server/main.cc"]))[-1])
        self.assertNotIn("not in the build", "".join(coverage_table.table({"base/a.cc": (1, 1)}, ["base/a.cc"])))


if __name__ == "__main__":
    unittest.main(verbosity=2)
