#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""Runs the test suites on the kernels of kernels.tsv. See docs/kernel-support.md."""

import argparse
import concurrent.futures
import os
import pathlib
import sys
import threading
import time
import traceback

import kernels
import machine
import packages
import payload
import results

HERE = pathlib.Path(__file__).resolve().parent


class Runner:
    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out)
        self.archive = packages.Archive(options.cache, self.say)
        self.begin = time.monotonic()
        self._print = threading.Lock()
        self.host = payload.host_architecture()
        self.kvm = {}

    def say(self, message):
        with self._print:
            print(f"[{time.monotonic() - self.begin:6.1f}] {message}", flush=True)

    def prepare(self, arch):
        """The initramfs of an architecture, and whether KVM will run it."""
        wanted = self.options.accel
        self.kvm[arch] = wanted != "tcg" and machine.kvm_works(arch, self.host)
        if wanted == "kvm" and arch == self.host and not self.kvm[arch]:
            self.say(f"warning: KVM does not work here, {arch} is emulated")
        programs = pathlib.Path(self.options.programs)
        return payload.build(self.archive, arch, programs, self.out / arch, self.say)

    def one(self, line, initramfs):
        result = results.Result(line.name, line.arch, options=line.cmdline)
        try:
            kernel = kernels.fetch(self.archive, line)
            result.kernel = kernel.release
            initrd = self.out / "logs" / f"{line.name}.cpio"
            try:
                payload.with_fuse(initramfs.result(), kernel, initrd)
                console = self.boot(line, kernel, initrd)
            finally:
                initrd.unlink(missing_ok=True)
            results.read(result, console, line)
        except (packages.Unavailable, payload.BuildFailed) as error:
            result.failures.append(str(error))
        except Exception:  # a mistake of the runner must not hide the other machines' results
            result.failures.append(traceback.format_exc())
        counts = " ".join(f"{result.count(o)} {o}," for o in ("passed", "failed", "skipped"))
        verdict = "FAILED: " + "; ".join(result.failures) if result.failures else "ok"
        self.say(f"{line.name} ({result.kernel}): {counts} {result.seconds:.0f} s, {verdict}")
        return result

    def suites(self, line):
        # The unit tests see no kernel: once for each architecture but the one that builds them.
        default = "kernel,cli" if line.arch == payload.host_architecture() else "unit,kernel,cli"
        if self.options.suites or not line.run:
            run = dict.fromkeys((self.options.suites or default).split(","), "*")
        else:
            run = line.run
        return {suite: self.options.filter or tests for suite, tests in run.items()}

    def boot(self, line, kernel, initramfs):
        log = self.out / "logs" / f"{line.name}.log"
        for attempt in (1, 2):
            kvm = self.kvm[line.arch]
            scale = self.options.scale or (100 if kvm else 1)
            suites = (f"fz.suite={suite}:{tests}" for suite, tests in self.suites(line).items())
            parameters = f"fz.scale={scale} {' '.join(suites)}"
            command = machine.command_line(line, kernel, initramfs, kvm, parameters)
            console = machine.run(command, log, self.options.timeout)
            started = "@@vm start" in console.text
            if kvm and not started:
                self.say(f"{line.name}: does not boot with KVM, emulated from here on")
                self.kvm[line.arch] = False
            elif attempt == 2 or machine.EMULATOR_PANIC not in console.text:
                break
            else:
                self.say(f"{line.name}: the emulator's panic, once more")
        return console

    def run(self, lines):
        # One build at a time, on all processors.
        with concurrent.futures.ThreadPoolExecutor(1) as builder, (
            concurrent.futures.ThreadPoolExecutor(self.options.jobs)
        ) as pool:
            archs = dict.fromkeys(line.arch for line in lines)
            initramfs = {arch: builder.submit(self.prepare, arch) for arch in archs}
            # A machine that shares the processors with a build takes several times as long.
            concurrent.futures.wait(initramfs.values())
            # Those that take longest come first, so that none is left to run alone at the end.
            def whole_suites(line):
                return sum(tests == "*" for tests in self.suites(line).values())

            ordered = sorted(lines, key=whole_suites, reverse=True)
            futures = {line.name: pool.submit(self.one, line, initramfs[line.arch]) for line in ordered}
            # Written after each machine: an interrupted run of an hour has not been for nothing.
            for _ in concurrent.futures.as_completed(futures.values()):
                in_order = (futures[line.name] for line in lines)
                done = [future.result() for future in in_order if future.done()]
                self.write(done)
        return done

    def write(self, done):
        packages.write_atomically(self.out / "results.json", results.to_json(done))
        packages.write_atomically(self.out / "junit.xml", results.junit(done))


def parse_arguments():
    cache = os.environ.get("VM_CACHE") or "~/.cache/freezerctl-vm"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", type=int, default=1, help="this tier and those below it")
    parser.add_argument("--kernels", help="only the lines whose name matches this expression")
    parser.add_argument("--list", action="store_true", help="print the lines and stop")
    parser.add_argument("--list-architectures", action="store_true")
    parser.add_argument("--table", default=HERE / "kernels.tsv")
    parser.add_argument("--programs", default="build", help="those of this machine's architecture")
    parser.add_argument("--out", default="build/vm", help="logs, results and other programs go here")
    parser.add_argument("--cache", default=os.path.expanduser(cache))
    # One more than processors: the last machine of a run is not to have the host for itself alone.
    jobs = (os.cpu_count() or 1) + 1
    parser.add_argument("--jobs", type=int, default=jobs, help=f"machines at a time ({jobs})")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each machine")
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    parser.add_argument("--scale", type=int, help="FREEZERCTL_TEST_SCALE (100, or 1 if emulated)")
    parser.add_argument("--thin", action="store_true", help="of every line only what a thin one runs")
    parser.add_argument("--suites", help="of unit,kernel,cli (all; no unit on the host's architecture)")
    parser.add_argument("--filter", help="a --gtest_filter for every suite")
    return parser.parse_args()


def main():
    options = parse_arguments()
    lines = kernels.select(kernels.parse(options.table), options.tier, options.kernels)
    if options.thin:
        lines = [kernels.thin(line) for line in lines]
    if not lines:
        sys.exit(f"no line of {options.table} matches")
    if options.list:
        print("\n".join(f"{line.tier}  {line.name}" for line in lines))
        return 0
    if options.list_architectures:
        print("\n".join(dict.fromkeys(line.arch for line in lines)))
        return 0
    runner = Runner(options)
    done = runner.run(lines)
    out = pathlib.Path(options.out)
    failed = sum(bool(result.failures) for result in done)
    print()
    print(results.table(done))
    print(f"\n{len(done) - failed} of {len(done)} machines passed; logs in {out / 'logs'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
