#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""The runner must not call a machine good that is not. No emulator, no network."""

import pathlib
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
import kernels
import machine
import packages
import payload
import results
import support_table

GOOD = """@@vm start 6.1.0-1-amd64 x86_64
@@vm capabilities bpf=full kill=file v1=yes fuse=yes
@@vm suite kernel
[ RUN      ] A.one
[       OK ] A.one (12 ms)
[ RUN      ] A.two
x.cpp:3: Skipped
[  SKIPPED ] A.two (0 ms)
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] A.two
@@vm suite-end kernel 0
@@vm dmesg
@@vm done 0
"""
LINE = "m\tamd64\tbookworm\tlinux-image-x\t1\tbpf=full kill=file v1=yes fuse=yes"


def line(text=LINE):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write(text + "\n")
        file.flush()
        return kernels.parse(file.name)[0]


def read(text, timed_out=False):
    result = results.Result("m", "amd64")
    results.read(result, machine.Console(text, timed_out, "tcg", 1.0, 0), line())
    return result


class Results(unittest.TestCase):
    def test_good(self):
        result = read(GOOD)
        self.assertEqual(result.failures, [])
        self.assertEqual([result.count(o) for o in ("passed", "failed", "skipped")], [1, 0, 1])
        self.assertEqual(result.kernel, "6.1.0-1-amd64")
        self.assertEqual(result.tests[1].output, "x.cpp:3: Skipped")

    def test_first_line_after_firmware(self):
        self.assertEqual(read("\x1b[?25l SLOF\nbooting@@vm start".join(GOOD.split("@@vm start"))), read(GOOD))

    def test_failed_test(self):
        result = read(GOOD.replace("[       OK ] A.one", "[  FAILED  ] A.one").replace("l 0", "l 1"))
        self.assertEqual(result.failures, ["1 tests failed"])

    def test_failed_test_with_a_parameter(self):
        text = "[  FAILED  ] A.one, where GetParam() = 3"
        result = read(GOOD.replace("[       OK ] A.one", text))
        self.assertEqual([t.outcome for t in result.tests], ["failed", "skipped"])

    def test_no_marker(self):
        self.assertIn("did not boot", read("Linux version\nKernel says no\n").failures[0])
        ended = read(GOOD.split("[       OK ]", maxsplit=1)[0])
        self.assertEqual(ended.failures, ["ended early in A.one"])
        self.assertIn("timed out", read(GOOD.split("@@vm done")[0], timed_out=True).failures[0])

    def test_program_that_dies(self):
        text = GOOD.replace("[       OK ] A.one (12 ms)\n", "@@vm suite-end kernel 134\n", 1)
        result = read(text)
        self.assertEqual((result.tests[0].name, result.tests[0].outcome), ("A.one", "failed"))
        result = read(GOOD.replace("suite-end kernel 0", "suite-end kernel 139"))
        self.assertEqual(result.failures, ["kernel_tests ended with 139"])

    def test_no_bpf_where_there_was(self):
        text = GOOD.replace("bpf=full", "bpf=none").replace("@@vm suite k", "@@vm why x\n@@vm suite k")
        self.assertEqual(read(text).failures, ["bpf=none where full is expected: x"])

    def test_kernel_complaint(self):
        for complaint in ("WARNING: CPU: 0 PID: 1 at a.c:1", "BUG: sleeping", "Oops: 0000 [#1]"):
            result = read(GOOD.replace("@@vm dmesg", f"@@vm dmesg\n[  1.0] {complaint}"))
            self.assertEqual(len(result.failures), 1, complaint)

    def test_left_behind(self):
        result = read(GOOD.replace("@@vm dmesg", "@@vm left /sys/fs/cgroup/x"))
        self.assertEqual(result.failures, ["left behind: /sys/fs/cgroup/x"])

    def test_junit_counts_the_machine(self):
        root = ElementTree.fromstring(results.junit([read("\x01 nothing")]))
        self.assertEqual(root[0].get("failures"), "1")
        self.assertEqual(ElementTree.fromstring(results.junit([read(GOOD)]))[0].get("tests"), "3")

    def test_json_round_trip(self):
        run = [read(GOOD)]
        self.assertEqual(results.from_json(results.to_json(run)), run)


class Table(unittest.TestCase):
    def test_the_real_one(self):
        lines = kernels.parse(pathlib.Path(__file__).with_name("kernels.tsv"))
        self.assertGreaterEqual(len(lines), 30)
        self.assertEqual({entry.arch for entry in lines}, set(machine.MACHINES))
        self.assertEqual(set(machine.MACHINES), set(payload.TOOLCHAINS))

    def test_options(self):
        parsed = line(LINE + "\tmem=256 cpus=4 preempt=full")
        self.assertEqual((parsed.memory, parsed.cpus, parsed.cmdline), (256, 4, "preempt=full"))
        self.assertEqual(line(LINE + "\tsuites=kernel").run, {"kernel": "*"})
        thin = line(LINE + "\tthin")
        self.assertEqual((thin.run, kernels.thin_parts(thin)), (kernels.THIN, ["thin"]))
        partly = line(LINE + "\tsuites=kernel,cli/thin")
        self.assertEqual(partly.run, {"kernel": "*", "cli": kernels.THIN["cli"]})
        self.assertEqual(kernels.thin_parts(partly), ["cli/thin"])

    def test_mistakes(self):
        for text in (LINE.replace("bpf=full", "bpf=maybe"), LINE.replace(" v1=yes", ""), "m\tamd64", LINE + "\tsuites=x", LINE + "\tsuites=unit/thin"):
            with self.assertRaisesRegex(ValueError, ":1: "):
                line(text)

    def test_support_table_keeps_what_did_not_run(self):
        document = f"a\n{support_table.BEGIN}\n{support_table.END}\nz\n"
        lines = [line(), line(LINE.replace("m\t", "n\t", 1))]
        once = support_table.render(document, [read(GOOD)], lines, "2026-01-01")
        other = read(GOOD)
        other.line = "n"
        twice = support_table.render(once, [other], lines, "2026-01-02")
        self.assertIn("| m | 6.1.0-1-amd64 |", twice)
        self.assertIn("2 of 2 measured", twice)
        self.assertTrue(twice.startswith("a\n") and twice.endswith("\nz\n"))
        nothing = read("no boot")
        self.assertEqual(support_table.render(once, [nothing], lines, "2026-01-03"), once)


class Parts(unittest.TestCase):
    def test_versions_sort_as_numbers(self):
        names = ["6.12.100-1", "6.12.9-1", "6.12.117-1~deb12u1"]
        self.assertEqual(sorted(names, key=packages.natural), [names[1], names[0], names[2]])

    def test_cpio(self):
        archive = payload.cpio([("a", 0o100644, b"hello", (0, 0)), ("d", 0o040755, b"", (0, 0))])
        with tempfile.TemporaryDirectory() as directory:
            command = ["cpio", "-id", "--quiet"]
            subprocess.run(command, input=archive, cwd=directory, check=True)
            self.assertEqual((pathlib.Path(directory) / "a").read_bytes(), b"hello")
            self.assertTrue((pathlib.Path(directory) / "d").is_dir())

    def test_no_match_says_so(self):
        with tempfile.TemporaryDirectory() as directory:
            archive = packages.Archive(directory, print)
            self.addCleanup(archive.close)
            packages.write_atomically(archive.index_path("amd64", "bookworm"), b"[]")
            with self.assertRaisesRegex(packages.Unavailable, "no package matches linux-image-9"):
                archive.find("amd64", ("bookworm",), "linux-image-9.*")


if __name__ == "__main__":
    unittest.main()
