#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""Writes the table of docs/kernel-support.md from the results of a run.

support_table.py RESULTS.json DOCUMENT: replaces the rows of the machines that ran, and keeps the rest.
"""

import datetime
import pathlib
import re
import sys

import kernels
import packages
import results

BEGIN = "<!-- measured: written by tests/vm/support_table.py -->"
END = "<!-- measured: end -->"
HEAD = (
    "| machine | kernel | architecture | options | BPF | cgroup.kill | v1 freezer | FUSE "
    "| passed | failed | skipped | seconds | result | date |"
)


def row(result, line, date):
    """One machine's row, or "" for one whose tests never ran: it says nothing about the kernel."""
    if not result.tests:
        return ""
    options = [line.cmdline] if line.cmdline else []
    options += [f"{line.memory} MB"] if line.memory != kernels.MEMORY else []
    options += [f"{line.cpus} CPU"] if line.cpus != kernels.CPUS else []
    options += kernels.thin_parts(line)
    capabilities = (result.capabilities.get(key, "?") for key in kernels.CAPABILITIES)
    cells = [
        result.line,
        result.kernel,
        result.arch,
        " ".join(options),
        *capabilities,
        *(str(result.count(outcome)) for outcome in ("passed", "failed", "skipped")),
        f"{result.seconds:.0f}",
        "failed" if result.failures else "ok",
        date,
    ]
    return "| " + " | ".join(cells) + " |"


def render(document, run, lines, date):
    """The document with the rows of a run put into its table, in the matrix's order."""
    before, rest = document.split(BEGIN)
    old, after = rest.split(END)
    rows = {match[1]: match[0] for match in re.finditer(r"^\| (\S+) \|.*\|$", old, re.M)}
    by_name = {line.name: line for line in lines}
    for result in run:
        if result.line in by_name:
            made = row(result, by_name[result.line], date)
            if made:
                rows[result.line] = made
    measured = [rows[line.name] for line in lines if line.name in rows]
    separator = re.sub(r"[^|]+", "---", HEAD)
    passed = sum("| ok |" in made for made in measured)
    summary = f"{passed} of {len(measured)} measured machines passed."
    table = "\n".join([HEAD, separator, *measured])
    return f"{before}{BEGIN}\n{summary}\n\n{table}\n{END}{after}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run = results.from_json(pathlib.Path(sys.argv[1]).read_text())
    document = pathlib.Path(sys.argv[2])
    lines = kernels.parse(pathlib.Path(__file__).with_name("kernels.tsv"))
    today = datetime.date.today().isoformat()
    packages.write_atomically(document, render(document.read_text(), run, lines, today).encode())


if __name__ == "__main__":
    main()
