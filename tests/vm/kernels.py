# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""The lines of kernels.tsv, and the kernel that each of them names."""

import dataclasses
import lzma
import pathlib
import re
import shlex
import tempfile

import packages

COLUMNS = ("name", "arch", "suites", "package", "tier", "expect", "options")
MEMORY, CPUS = 768, 2
SUITES = ("unit", "kernel", "cli")
# What a thin line runs: left out is load and repetition, what several users of one tracker do to each
# other, and what the command does without the kernel's having a part in it.
THIN = {
    "kernel": "-Endurance.*:Attached.*:Ways/Verdicts.*:Ways/Late.*",
    "cli": "MountCommand*-*.many_clients_*:*.any_operation_*",
}
CAPABILITIES = {"bpf": ("full", "none"), "kill": ("file", "loop"), "v1": ("yes", "no"), "fuse": ("yes", "no")}
# How many of the packages that match are tried, newest first, when one cannot be downloaded.
CANDIDATES = 3


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    arch: str
    suites: tuple
    package: str
    tier: int
    expect: dict
    memory: int
    cpus: int
    cmdline: str
    run: dict = dataclasses.field(default_factory=dict)  # suites and a filter for each; empty: all of all


@dataclasses.dataclass(frozen=True)
class Kernel:
    release: str
    version: str  # of the package
    image: pathlib.Path
    fuse: pathlib.Path  # the module; empty where it is built in, as it is since 6.19


def parse(path):
    """The lines of the table; a mistake in it is a ValueError with its line number."""
    lines = []
    for number, text in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        try:
            lines.append(_parse_line(text))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    names = [line.name for line in lines]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: {name} is there twice")
    return lines


def _parse_line(text):
    fields = re.split(r"\t+", text.rstrip())
    if not len(COLUMNS) - 1 <= len(fields) <= len(COLUMNS):
        raise ValueError(f"{len(fields)} columns instead of {' '.join(COLUMNS)}")
    row = dict(zip(COLUMNS, [*fields, ""]))
    expect = dict(word.split("=", 1) for word in row["expect"].split())
    for key, values in CAPABILITIES.items():
        if expect.get(key) not in values:
            raise ValueError(f"expects {key}={expect.get(key)}, not one of {' '.join(values)}")
    if set(expect) - set(CAPABILITIES):
        raise ValueError(f"unknown capability in: {row['expect']}")
    memory, cpus, run, is_thin, cmdline = MEMORY, CPUS, {}, False, []
    for word in shlex.split(row["options"]):
        if re.fullmatch(r"mem=\d+", word):
            memory = int(word[4:])
        elif re.fullmatch(r"cpus=\d+", word):
            cpus = int(word[5:])
        elif word == "thin":
            is_thin = True
        elif re.fullmatch(r"suites=[a-z,/]+", word):
            run = dict(_suite(text) for text in word[7:].split(","))
        else:
            cmdline.append(word)
    re.compile(row["package"])
    line = Line(
        row["name"],
        row["arch"],
        tuple(row["suites"].split(",")),
        row["package"],
        int(row["tier"]),
        expect,
        memory,
        cpus,
        " ".join(cmdline),
        run,
    )
    return thin(line) if is_thin else line


def _suite(text):
    name, slash, thin_too = text.partition("/")
    if name not in SUITES or (slash and (thin_too != "thin" or name not in THIN)):
        raise ValueError(f"suites are {' '.join(SUITES)}, and {'/thin '.join(THIN)}/thin: {text}")
    return name, THIN[name] if slash else "*"


def thin(line):
    """The line with the thin selection of tests."""
    return dataclasses.replace(line, run=THIN)


def thin_parts(line):
    """"thin", or the suites of which the line runs the thin selection."""
    if line.run == THIN:
        return ["thin"]
    return [f"{suite}/thin" for suite, tests in line.run.items() if tests == THIN.get(suite)]


def select(lines, tier, pattern):
    """The lines of a tier and below, or those whose name matches."""
    if pattern:
        return [line for line in lines if re.search(pattern, line.name)]
    return [line for line in lines if line.tier <= tier]


def release_of(package):
    return re.sub(r"^linux-(image|binary)-", "", package.name).removesuffix("-unsigned")


def fetch(archive, line):
    """The newest kernel that matches and can be downloaded."""
    failures = []
    for package, suite in archive.find(line.arch, line.suites, line.package)[:CANDIDATES]:
        kernel = _cached(archive, line, package)
        if kernel.image.exists() and kernel.fuse.exists():
            return kernel
        try:
            _download(archive, line, package, suite, kernel)
            return kernel
        except packages.Unavailable as error:
            failures.append(str(error))
    raise packages.Unavailable("; ".join(failures))


def _cached(archive, line, package):
    release = release_of(package)
    image = archive.cache / "kernels" / line.arch / f"{release}_{package.version}"
    return Kernel(release, package.version, image, image.with_name(image.name + "_fuse.ko"))


def _download(archive, line, package, suite, kernel):
    with archive, tempfile.TemporaryDirectory(dir=archive.cache) as directory:
        deb = archive.download(line.arch, suite, package)
        archive.unpack_some(deb, directory, ("*/vmlinu*", "*/fuse.ko*"))
        deb.unlink()
        images = sorted(pathlib.Path(directory).glob("boot/vmlinu*")) or sorted(
            pathlib.Path(directory).glob("usr/lib/modules/*/vmlinu*")
        )
        if not images:
            raise packages.Unavailable(f"{package.name} {package.version} has no kernel image")
        module = sorted(pathlib.Path(directory).rglob("fuse.ko*"))
        packages.write_atomically(kernel.fuse, _unpacked(module[0]) if module else b"")
        images[0].rename(kernel.image)


def _unpacked(module):
    data = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix != ".ko":
        raise packages.Unavailable(f"{module.name}: compressed in a way that is not known here")
    return data
