# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""What runs inside the machines: static test programs of an architecture, in an initramfs."""

import dataclasses
import os
import pathlib
import stat
import subprocess

import packages

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("freezerctl", "unit_tests", "kernel_tests", "cli_tests")
LIBRARIES = ("libbpf-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev",
             "libncurses-dev", "libfuse3-dev")
HEADERS = ("libcli11-dev", "nlohmann-json3-dev")


@dataclasses.dataclass(frozen=True)
class Toolchain:
    prefix: str  # of the cross compiler
    suites: tuple  # that the target's libraries come from
    extra_libs: str = ""
    # The libraries want symbols of a newer C library than the compiler's.
    c23_shim: bool = False
    # Writing a skeleton for the other byte order takes a bpftool of libbpf 1.6 or later.
    newer_bpftool: bool = False


TOOLCHAINS = {
    "amd64": Toolchain("x86_64-linux-gnu-", ("bookworm",)),
    "arm64": Toolchain("aarch64-linux-gnu-", ("bookworm",)),
    "ppc64el": Toolchain("powerpc64le-linux-gnu-", ("bookworm",)),
    # Its libelf.a and libz.a both have crc32().
    "riscv64": Toolchain(
        "riscv64-linux-gnu-", ("sid",), "-lzstd -Wl,-z,muldefs", c23_shim=True
    ),
    "s390x": Toolchain("s390x-linux-gnu-", ("bookworm",), newer_bpftool=True),
}


def host_architecture():
    ran = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


class BuildFailed(Exception):
    pass


def build(archive, arch, programs, out, say):
    """The initramfs of an architecture. The programs of the host's own are there already."""
    if arch == host_architecture():
        return _initramfs(archive, arch, programs, out, "strip")
    _cross_build(archive, arch, out, say)
    return _initramfs(archive, arch, out, out, f"{TOOLCHAINS[arch].prefix}strip")


def _cross_build(archive, arch, out, say):
    toolchain = TOOLCHAINS[arch]
    prefix = toolchain.prefix
    sysroot = archive.tree(arch, toolchain.suites, LIBRARIES + HEADERS)
    libs = toolchain.extra_libs
    if toolchain.c23_shim:
        libs = f"{_shim(prefix, out)} {libs}"
    arguments = [f"O={out}", f"ARCH={arch}", "GTEST_SRC=/usr/src/googletest"]
    # Builds in half the time of -Os -g, and nothing here is measured.
    arguments.append("CXXFLAGS=-O1")
    arguments += [f"CROSS_COMPILE={prefix}", f"SYSROOT={sysroot}", f"EXTRA_LIBS={libs}"]
    if toolchain.newer_bpftool:
        arguments.append(f"BPFTOOL={_bpftool(archive, out)}")
    ccache = os.environ.get("VM_CXX_LAUNCHER", "")
    if ccache:
        arguments.append(f"CXX={ccache} {prefix}g++")
    say(f"build for {arch}")
    log = pathlib.Path(out) / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        ran = subprocess.run(
            ["make", "--no-print-directory", f"-j{os.cpu_count()}", "-C", str(ROOT), *arguments]
            + ["vm-payload"],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        )
    if ran.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise BuildFailed(f"build for {arch} failed, see {log}:\n{tail}")


def _bpftool(archive, out):
    """A newer bpftool with the C library and the others that it wants, none of them installed."""
    names = ("bpftool", "libc6", "libelf1t64", "libcap2", "libssl3t64", "zlib1g", "libzstd1")
    tree = archive.tree(host_architecture(), ("trixie", "trixie-backports"), names)
    loader = next(iter(sorted(tree.glob("usr/lib/*/ld-linux*.so.*"))))
    script = (pathlib.Path(out) / "bpftool").resolve()
    command = f"{loader} --library-path {loader.parent} {tree}/usr/sbin/bpftool"
    packages.write_atomically(script, f'#!/bin/sh\nexec {command} "$@"\n'.encode())
    script.chmod(0o755)
    return script


def _shim(prefix, out):
    """glibc 2.38's names for strtoll() and its like, which a newer library was built against."""
    source = pathlib.Path(__file__).with_name("c23_shim.c")
    target = pathlib.Path(out) / "c23_shim.o"
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([f"{prefix}gcc", "-O2", "-c", str(source), "-o", str(target)], check=True)
    return target.resolve()


def _initramfs(archive, arch, programs, out, strip):
    out.mkdir(parents=True, exist_ok=True)
    path = out / "initramfs.cpio"
    busybox = archive.tree(arch, TOOLCHAINS[arch].suites, ("busybox-static",))
    # The second is where newer suites, whose /bin is a link, have it.
    places = (busybox / "bin/busybox", busybox / "usr/bin/busybox")
    shell = next(place for place in places if place.exists())
    entries = [
        ("dev", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
        ("bin", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("proc", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("sys", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("tmp", stat.S_IFDIR | 0o1777, b"", (0, 0)),
        ("root", stat.S_IFDIR | 0o700, b"", (0, 0)),
        ("etc", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("etc/passwd", stat.S_IFREG | 0o644, b"root:x:0:0::/root:/bin/sh\n"
         b"nobody:x:65534:65534::/:/bin/false\n", (0, 0)),
        ("bin/busybox", stat.S_IFREG | 0o755, shell.read_bytes(), (0, 0)),
        ("bin/sh", stat.S_IFLNK | 0o777, b"busybox", (0, 0)),
        ("init", stat.S_IFREG | 0o755, pathlib.Path(__file__).with_name("init").read_bytes(), (0, 0)),
    ]
    for program in PROGRAMS:
        stripped = out / f"{program}.stripped"
        subprocess.run([strip, "-o", str(stripped), str(programs / program)], check=True)
        entries.append((f"bin/{program}", stat.S_IFREG | 0o755, stripped.read_bytes(), (0, 0)))
    packages.write_atomically(path, cpio(entries))
    return path


def with_fuse(initramfs, kernel, path):
    """The initramfs with the kernel's own module of FUSE behind it. The kernel unpacks both archives."""
    module = ("fuse.ko", stat.S_IFREG | 0o644, kernel.fuse.read_bytes(), (0, 0))
    packages.write_atomically(path, initramfs.read_bytes() + cpio([module]))
    return path


def cpio(entries):
    """A "newc" archive, which the kernel unpacks. Written here for the device node: mknod is root's."""
    archive = bytearray()
    for inode, (name, mode, data, device) in enumerate(
        [*entries, ("TRAILER!!!", 0, b"", (0, 0))], start=1
    ):
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        header = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in header) + encoded
        archive += b"\0" * (-len(archive) % 4)
        archive += data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
