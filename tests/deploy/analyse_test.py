#!/usr/bin/env python3
"""Which sources deploy/analyse looks at, what it remembers, and what it prints."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import sys
import tempfile
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "deploy/analyse"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("analyse", str(SCRIPT))
analyse = importlib.util.module_from_spec(importlib.util.spec_from_loader("analyse", loader))
loader.exec_module(analyse)


class Analyse(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("base/clock.h", "#pragma once\n")
        self.write("base/clock.cc", '#include "base/clock.h"\n')
        self.write("server/call.h", '#include "base/clock.h"\n#include "parley.pb.h"\n')
        self.write("server/call.cc", '#include "server/call.h"\n')
        self.write("server/main.cc", '#include <vector>\n#include "server/call.h"\n')
        self.write("generated/parley.pb.h", "")
        self.sources = {"base/clock.cc", "server/call.cc", "server/main.cc"}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tree(self):
        return analyse.Tree(self.folder, self.folder / "generated")

    def recorded(self):
        tree = self.tree()
        return analyse.read_record(analyse.write_record(tree, tree.files()))

    def to_check(self, recorded):
        tree = self.tree()
        return analyse.to_check(tree, self.sources, recorded, tree.files())

    def test_nothing_is_looked_at_when_all_is_as_recorded(self):
        self.assertEqual(self.to_check(self.recorded()), set())

    def test_everything_is_looked_at_without_a_record(self):
        self.assertEqual(self.to_check({}), self.sources)

    def test_a_changed_source_is_looked_at(self):
        recorded = self.recorded()
        self.write("server/main.cc", "int main() {}\n")
        self.assertEqual(self.to_check(recorded), {"server/main.cc"})

    def test_a_new_source_is_looked_at(self):
        recorded = self.recorded()
        self.write("base/new.cc", "")
        self.sources.add("base/new.cc")
        self.assertEqual(self.to_check(recorded), {"base/new.cc"})

    def test_a_changed_header_is_looked_at_in_the_source_of_its_name(self):
        recorded = self.recorded()
        self.write("base/clock.h", "#pragma once\nint x;\n")
        self.assertEqual(self.to_check(recorded), {"base/clock.cc"})

    def test_a_changed_header_without_such_a_source_is_looked_at_where_it_is_included(self):
        self.write("server/limits.h", "")
        self.write("server/main.cc", '#include "server/limits.h"\n')
        recorded = self.recorded()
        self.write("server/limits.h", "int x;\n")
        self.assertEqual(self.to_check(recorded), {"server/main.cc"})

    def test_a_source_counts_as_another_when_a_header_that_a_header_includes_changes(self):
        before = self.tree().content("server/main.cc")
        self.assertEqual(before, self.tree().content("server/main.cc"))
        for header in ("base/clock.h", "generated/parley.pb.h"):
            self.write(header, "int x;\n")
            after = self.tree().content("server/main.cc")
            self.assertNotEqual(before, after, header)
            before = after
        self.write("base/clock.cc", "int y;\n")
        self.assertEqual(before, self.tree().content("server/main.cc"))

    def test_headers_that_include_each_other_are_read_once(self):
        self.write("base/a.h", '#include "base/b.h"\n')
        self.write("base/b.h", '#include "base/a.h"\n')
        self.assertEqual(self.tree().closure("base/a.h"), {"base/a.h", "base/b.h"})

    def run_analyse(self, memory, scripts):
        commands = {source: ["sh", "-c", script] for source, script in scripts.items()}
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            found = analyse.analyse("a tool", commands, lambda source: f"key-of-{source}", memory, 2)
        return found, output.getvalue()

    def test_what_is_clean_is_not_looked_at_again(self):
        memory = analyse.Memory(self.folder / "memory")
        ran = self.folder / "ran"
        for _ in range(2):
            found, _ = self.run_analyse(memory, {"a.cc": f"echo x >> {ran}"})
            self.assertFalse(found)
        self.assertEqual(ran.read_text(), "x\n")

    def test_what_has_a_finding_is_looked_at_again(self):
        memory = analyse.Memory(self.folder / "memory")
        for _ in range(2):
            found, output = self.run_analyse(memory, {"a.cc": "echo 'a.h:1:2: error: wrong [x]'; exit 1"})
            self.assertTrue(found)
            self.assertIn("a.h:1:2: error: wrong [x]", output)

    def test_a_finding_in_a_header_is_printed_once(self):
        script = "echo 'a.h:1:2: error: wrong [x]'; echo '  code'; exit 1"
        _, output = self.run_analyse(analyse.Memory(self.folder / "memory"), {"a.cc": script, "b.cc": script})
        self.assertEqual(output.count("wrong"), 1)
        self.assertIn("1 findings, seen from 2 sources", output)

    def test_a_tool_that_fails_without_a_finding_is_a_finding(self):
        found, output = self.run_analyse(analyse.Memory(self.folder / "memory"), {"a.cc": "echo stopped; exit 134"})
        self.assertTrue(found)
        self.assertIn("a.cc: exit status 134", output)
        self.assertIn("stopped", output)

    def test_what_was_not_asked_for_a_long_time_is_forgotten(self):
        memory = analyse.Memory(self.folder / "memory")
        memory.add("old")
        memory.add("new")
        long_ago = time.time() - (analyse.DAYS_REMEMBERED + 1) * 86400
        os.utime(self.folder / "memory/old", (long_ago, long_ago))
        memory = analyse.Memory(self.folder / "memory")
        self.assertEqual([memory.has("old"), memory.has("new")], [False, True])


if __name__ == "__main__":
    unittest.main(verbosity=2)
