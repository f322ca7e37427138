# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""One machine: QEMU with a kernel and an initramfs, its serial console in a log, and a deadline."""

import dataclasses
import os
import selectors
import subprocess
import time

# thread=single on amd64: with one thread for each CPU, QEMU 7.2 now and then delivers a half-written
# instruction of the kernel's self-patching code ("Oops: int3"; 2 of 45 boots of 7.3).
MACHINES = {
    "amd64": ("x86_64", ["-M", "q35", "-cpu", "max"], "tcg,thread=single", "ttyS0"),
    "arm64": (
        "aarch64",
        # pauth-impdef: the architected pointer authentication is half of an emulated run's time.
        ["-M", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on"],
        "tcg",
        "ttyAMA0",
    ),
    "ppc64el": ("ppc64", ["-M", "pseries", "-cpu", "power9"], "tcg", "hvc0"),
    "riscv64": ("riscv64", ["-M", "virt"], "tcg", "ttyS0"),
    "s390x": ("s390x", ["-M", "s390-ccw-virtio", "-cpu", "max"], "tcg", "ttysclp0"),
}
KVM_CPU = {"amd64": "max", "arm64": "host"}
# An emulator's panic, which says nothing about the kernel: the only thing that is tried again.
EMULATOR_PANIC = "Oops: int3"
KVM_PROBE_SECONDS = 3


@dataclasses.dataclass(frozen=True)
class Console:
    text: str
    timed_out: bool
    accelerator: str
    seconds: float
    exit_code: int  # of the emulator


def kvm_works(arch, host):
    """Whether a machine with KVM survives its first seconds: some hosts offer it and then refuse."""
    if arch != host or arch not in KVM_CPU or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    system, machine, _, _ = MACHINES[arch]
    command = [f"qemu-system-{system}", *machine[:2], "-cpu", KVM_CPU[arch], "-accel", "kvm"]
    command += ["-m", "128", "-nodefaults", "-display", "none"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as probe:
        try:
            probe.wait(KVM_PROBE_SECONDS)
            return False
        except subprocess.TimeoutExpired:
            probe.kill()
            return True


def command_line(line, kernel, initramfs, kvm, parameters):
    system, machine, accelerator, console = MACHINES[line.arch]
    if kvm:
        machine = [*machine[:2], "-cpu", KVM_CPU[line.arch]]
        accelerator = "kvm"
    # panic=-1 and -no-reboot: a kernel that panics ends the emulator at once.
    append = f"console={console} panic=-1 quiet {line.cmdline} {parameters}".split()
    return [
        f"qemu-system-{system}",
        *machine,
        *("-accel", accelerator, "-smp", str(line.cpus), "-m", str(line.memory)),
        *("-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", " ".join(append)),
    ]


def run(command, log_path, timeout):
    """Runs the emulator until it ends or the deadline has passed; all it says goes to the log."""
    begin = time.monotonic()
    received = bytearray()
    timed_out = False
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with open(log_path, "wb") as log, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as emulator, selectors.DefaultSelector() as selector:
        log.write((" ".join(command) + "\n").encode())
        selector.register(emulator.stdout, selectors.EVENT_READ)
        try:
            while True:
                left = begin + timeout - time.monotonic()
                if left <= 0:
                    timed_out = True
                    break
                if not selector.select(left):
                    continue
                chunk = os.read(emulator.stdout.fileno(), 65536)
                if not chunk:
                    break
                chunk = chunk.replace(b"\r", b"")
                received += chunk
                log.write(chunk)
                log.flush()
        finally:
            emulator.kill()
        exit_code = emulator.wait()
    accelerator = command[command.index("-accel") + 1].split(",")[0]
    return Console(
        received.decode(errors="replace"),
        timed_out,
        accelerator,
        time.monotonic() - begin,
        exit_code,
    )
