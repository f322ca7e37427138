# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""What a machine's console says: tests, capabilities, and what makes the machine fail."""

import dataclasses
import json
import re
from xml.etree import ElementTree

KERNEL_COMPLAINT = re.compile(
    r"WARNING: |BUG: |\bOops\b|kernel BUG at|Kernel panic|INFO: (rcu|task .* blocked)|UBSAN: |"
    r"general protection fault|Unable to handle kernel|suspicious RCU usage"
)
ESCAPE = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")  # firmware clears screens
TEST_END = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?),? .*?\((\d+) ms\)$")
TEST_BEGIN = re.compile(r"^\[ RUN      \] (\S+)$")


@dataclasses.dataclass
class Test:
    suite: str
    name: str
    outcome: str  # passed, failed, skipped
    seconds: float
    output: str


@dataclasses.dataclass
class Result:
    line: str  # its name in kernels.tsv
    arch: str
    kernel: str = ""
    options: str = ""
    accelerator: str = ""
    seconds: float = 0.0
    capabilities: dict = dataclasses.field(default_factory=dict)
    tests: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)  # reasons; empty: the machine passed

    def count(self, outcome):
        return sum(test.outcome == outcome for test in self.tests)


def read(result, console, line):
    """Fills in what a run's console says about it."""
    result.accelerator = console.accelerator
    result.seconds = console.seconds
    text = ESCAPE.sub("", console.text)
    # The first line can follow the kernel's own, unfinished.
    started = re.search(r"@@vm start (\S+) (\S+)$", text, re.M)
    done = re.search(r"^@@vm done (\d+)$", text, re.M)
    if started:
        result.kernel = started[1]
    capabilities = re.search(r"^@@vm capabilities (.*)$", text, re.M)
    if capabilities:
        result.capabilities = dict(word.split("=") for word in capabilities[1].split())
    result.tests, unfinished = _tests(text)

    if not started:
        how = "timed out" if console.timed_out else f"the emulator ended ({console.exit_code})"
        last = [text_line for text_line in text.splitlines() if text_line.strip()][-1:]
        result.failures.append(f"did not boot: {how}; last line: {''.join(last)[:200]}")
    elif not done:
        how = f"timed out after {console.seconds:.0f} s" if console.timed_out else "ended early"
        result.failures.append(how + (f" in {unfinished}" if unfinished else ""))
    for key, wanted in line.expect.items():
        found = result.capabilities.get(key)
        if started and found != wanted:
            why = re.search(r"^@@vm why (.*)$", text, re.M)
            reason = f": {why[1][:400]}" if key == "bpf" and why else ""
            result.failures.append(f"{key}={found} where {wanted} is expected{reason}")
    failed = result.count("failed")
    if failed:
        result.failures.append(f"{failed} tests failed")
    for suite, status in re.findall(r"^@@vm suite-end (\S+) (\d+)$", text, re.M):
        failed_here = any(t.suite == suite and t.outcome == "failed" for t in result.tests)
        if status != "0" and not failed_here:
            result.failures.append(f"{suite}_tests ended with {status}")
    left = re.search(r"^@@vm left (.*)$", text, re.M)
    if left:
        result.failures.append(f"left behind: {left[1]}")
    complaints = [text_line for text_line in text.splitlines() if KERNEL_COMPLAINT.search(text_line)]
    if complaints:
        result.failures.append(f"the kernel complained: {complaints[0].strip()[:200]}")
    if done and done[1] != "0" and not result.failures:
        result.failures.append(f"ended with {done[1]}")


def _tests(text):
    """The tests of a console, and the name of one that began and did not end."""
    tests = []
    suite, running, output = "", None, []
    for line in text.splitlines():
        begin, end = TEST_BEGIN.match(line), TEST_END.match(line)
        if line.startswith("@@vm suite "):
            suite = line.split()[2]
        elif line.startswith("@@vm suite-end ") and running:
            # A program that died in a test: that test failed.
            tests.append(Test(suite, running, "failed", 0.0, "\n".join(output)))
            running = None
        elif begin:
            running, output = begin[1], []
        elif end and running:
            outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[end[1]]
            tests.append(Test(suite, running, outcome, int(end[3]) / 1000, "\n".join(output)))
            running = None
        elif running:
            output.append(line)
    return tests, running


def table(results):
    """The results as an aligned table, one machine on one line, with the reasons below it."""
    head = ("machine", "kernel", "arch", "capabilities", "passed", "failed", "skipped", "seconds", "")
    rows = [head]
    for result in results:
        capabilities = " ".join(f"{k}={v}" for k, v in result.capabilities.items())
        rows.append(
            (
                result.line,
                result.kernel or "-",
                result.arch,
                capabilities or "-",
                *(str(result.count(outcome)) for outcome in ("passed", "failed", "skipped")),
                f"{result.seconds:.0f}",
                "FAILED" if result.failures else "ok",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for row, result in enumerate(results, 1):
        reasons = [f"    {reason}" for reason in result.failures]
        reasons += [f"    {t.suite}: {t.name}" for t in result.tests if t.outcome == "failed"][:20]
        lines[row] = "\n".join([lines[row], *reasons])
    return "\n".join(lines)


# XML 1.0 has no way to write these.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def junit(results):
    root = ElementTree.Element("testsuites", name="vm")
    for result in results:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=result.line,
            # The machine itself is one more case: it boots, and can do what it is expected to.
            tests=str(len(result.tests) + 1),
            failures=str(result.count("failed") + bool(result.failures)),
            skipped=str(result.count("skipped")),
            time=f"{result.seconds:.3f}",
        )
        properties = ElementTree.SubElement(suite, "properties")
        facts = {"kernel": result.kernel, "architecture": result.arch, **result.capabilities}
        for key, value in facts.items():
            ElementTree.SubElement(properties, "property", name=key, value=value)
        case = ElementTree.SubElement(suite, "testcase", classname=result.line, name="machine")
        if result.failures:
            reasons = CONTROL.sub("?", "; ".join(result.failures))
            ElementTree.SubElement(case, "failure", message=reasons)
        for test in result.tests:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"{result.line}.{test.suite}",
                name=test.name,
                time=f"{test.seconds:.3f}",
            )
            output = CONTROL.sub("?", test.output)
            if test.outcome == "failed":
                first = output.strip().split("\n")[0][:200]
                ElementTree.SubElement(case, "failure", message=first).text = output
            elif test.outcome == "skipped":
                ElementTree.SubElement(case, "skipped", message=output.strip()[:400])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def to_json(results):
    return (json.dumps([dataclasses.asdict(r) for r in results], indent=1) + "\n").encode()


def from_json(data):
    results = []
    for entry in json.loads(data):
        entry["tests"] = [Test(**test) for test in entry["tests"]]
        results.append(Result(**entry))
    return results
