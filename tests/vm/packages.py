# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
"""Debian packages of any suite and architecture, through apt with a state of its own.

Nothing of the system's apt is changed: its configured sources are read for the mirror and the keyring,
and apt-get runs with private directories below the cache. An index is fetched again after INDEX_AGE; a
failed refresh of an index that is there is a warning.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

INDEX_AGE = 7 * 24 * 3600
# What an index remembers: kernels, and what a payload is made of.
WANTED = re.compile(
    r"linux-(image|binary)-\d.*|busybox-static|bpftool|lib(bpf|elf|zstd|cli11|ncurses|fuse3)-dev|"
    r"zlib1g-dev|"
    r"nlohmann-json3-dev|libc6|libelf1t64|libcap2|libssl3t64|zlib1g|libzstd1"
)


class Unavailable(Exception):
    """A package that cannot be had, and why."""


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    architecture: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Source:
    uri: str
    keyring: str  # "" where apt's own trusted keys are to do


def natural(version):
    """Sorts 6.1.0-9 before 6.1.0-10."""
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", version)]


def _configured_sources():
    """(uri, suites, keyring) of each Debian source that the system has."""
    listed = pathlib.Path("/etc/apt")
    for path in sorted(listed.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = dict(re.findall(r"^([\w-]+):\s*(.*)$", "\n".join(lines), re.M))
            if "deb" in fields.get("Types", "").split():
                for uri in fields.get("URIs", "").split():
                    yield uri, fields.get("Suites", "").split(), fields.get("Signed-By", "")
    for path in [listed / "sources.list", *sorted(listed.glob("sources.list.d/*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else []:
            match = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", line)
            if match:
                options = dict(o.split("=", 1) for o in (match[1] or "").split() if "=" in o)
                yield match[2], [match[3]], options.get("signed-by", "")


def source_of(suite):
    """Where a suite comes from: the system's own mirror of the archive, or of its security part."""
    security = suite.endswith("-security")
    override = os.environ.get("VM_SECURITY_MIRROR" if security else "VM_MIRROR")
    if override:
        return Source(override, os.environ.get("VM_KEYRING", ""))
    for uri, suites, keyring in _configured_sources():
        if uri.rstrip("/").endswith("/debian-security" if security else "/debian"):
            return Source(uri, keyring)
    raise Unavailable(
        f"no mirror of Debian for {suite} among the system's package sources "
        "(set VM_MIRROR, VM_SECURITY_MIRROR and VM_KEYRING)"
    )


class Archive:
    def __init__(self, cache, say):
        self.cache = pathlib.Path(cache)
        self.say = say
        self.cache.mkdir(parents=True, exist_ok=True)
        self._mutex = threading.RLock()
        self._depth = 0  # how often the holder of the mutex has entered
        self._indexes = {}
        self._lock_file = open(self.cache / "lock", "w", encoding="ascii")

    def close(self):
        self._lock_file.close()

    def __enter__(self):
        """One user of the cache at a time, among threads and among processes."""
        self._mutex.acquire()
        self._depth += 1
        if self._depth == 1:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self._depth -= 1
        if self._depth == 0:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        self._mutex.release()

    def _apt(self, architecture, suite, program, *arguments, cwd=None):
        state = self.cache / "apt" / f"{architecture}-{suite}"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        source = source_of(suite)
        signed = f" [signed-by={source.keyring}]" if source.keyring else ""
        (state / "sources.list").write_text(f"deb{signed} {source.uri} {suite} main\n")
        command = [program, "-q", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30"]
        for option in (
            f"Dir::State={state}",
            f"Dir::State::lists={state}/lists",
            f"Dir::State::status={state}/status",
            f"Dir::Cache={state}/cache",
            f"Dir::Etc::sourcelist={state}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            "Dir::Etc::preferences=/dev/null",
            "Dir::Etc::preferencesparts=/dev/null",
            f"APT::Architecture={architecture}",
            f"APT::Architectures={architecture}",
            "APT::Sandbox::User=root",
            # 5.10's suite is frozen: its index is older than apt would accept.
            "Acquire::Check-Valid-Until=false",
        ):
            command += ["-o", option]
        return subprocess.run(
            [*command, *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )

    def index_path(self, architecture, suite):
        remembered = hashlib.sha256(WANTED.pattern.encode()).hexdigest()[:8]
        return self.cache / "index" / f"{architecture}-{suite}-{remembered}.json"

    def index(self, architecture, suite, fresh=False):
        """The packages of one suite, newest last; fetched when it is old or `fresh` is asked for."""
        key = (architecture, suite)
        with self:
            if key in self._indexes and not fresh:
                return self._indexes[key]
            path = self.index_path(architecture, suite)
            known = path.exists()
            if fresh or not known or time.time() - path.stat().st_mtime > INDEX_AGE:
                self.say(f"index of {suite} for {architecture}")
                ran = self._apt(architecture, suite, "apt-get", "update")
                errors = re.findall(r"^(?:E|W|Err[^ ]*) ?: ?(.*)$", ran.stderr, re.M)
                # apt-get update says 0 when an index could not be had, with a warning only.
                if ran.returncode == 0 and not any("Failed to fetch" in e for e in errors):
                    self._remember(path, architecture, suite)
                elif known:
                    self.say(f"warning: {suite} for {architecture} not refreshed: {errors}")
                else:
                    why = "; ".join(errors) or ran.stderr.strip()[-300:]
                    raise Unavailable(f"no index of {suite} for {architecture}: {why}")
            packages = [Package(**entry) for entry in json.loads(path.read_text())]
            packages.sort(key=lambda p: natural(p.version))
            self._indexes[key] = packages
            return packages

    def _remember(self, path, architecture, suite):
        ran = self._apt(architecture, suite, "apt-cache", "dumpavail")
        entries = []
        for stanza in ran.stdout.split("\n\n"):
            name = re.match(r"Package: (\S+)", stanza)
            if name and WANTED.fullmatch(name[1]):
                fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
                entries.append(
                    {
                        "name": fields["Package"],
                        "version": fields["Version"],
                        "architecture": fields["Architecture"],
                        "sha256": fields["SHA256"],
                    }
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(entries, indent=0).encode())

    def find(self, architecture, suites, pattern):
        """The packages whose whole name matches, of any of the suites, newest first."""
        found = [
            (package, suite)
            for suite in suites
            for package in self.index(architecture, suite)
            if re.fullmatch(pattern, package.name)
        ]
        if not found:
            raise Unavailable(
                f"no package matches {pattern} in {' or '.join(suites)} for {architecture}"
            )
        return sorted(found, key=lambda f: natural(f[0].version), reverse=True)

    def download(self, architecture, suite, package):
        """The package's file. The caller removes it."""
        with self:
            partial = self.cache / "partial"
            partial.mkdir(exist_ok=True)
            self.say(f"download {package.name} {package.version} {architecture}")
            wanted = f"{package.name}={package.version}"
            # What a broken download left here is continued by apt.
            ran = self._apt(architecture, suite, "apt-get", "download", wanted, cwd=partial)
            pattern = f"{package.name}_*_{package.architecture}.deb"
            files = sorted(partial.glob(pattern), key=lambda f: f.stat().st_mtime)
            if ran.returncode != 0 or not files:
                errors = re.findall(r"^(?:E|W): ?(.*)$", ran.stderr, re.M)
                why = "; ".join(errors) or ran.stderr.strip()[-300:]
                raise Unavailable(f"cannot download {package.name} {package.version}: {why}")
            actual = hashlib.sha256(files[-1].read_bytes()).hexdigest()
            if actual != package.sha256:
                files[-1].unlink()
                raise Unavailable(f"{package.name} {package.version}: checksum does not match")
            return files[-1]

    def unpack(self, deb, directory):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(directory)], check=True)

    def unpack_some(self, deb, directory, patterns):
        """Only the files whose path matches one of the patterns of the shell; there may be none."""
        unpack = ["tar", "-x", "-C", str(directory), "--wildcards", *patterns]
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
        ) as tar:
            subprocess.run(unpack, stdin=tar.stdout, stderr=subprocess.DEVNULL, check=False)
            tar.stdout.close()
        if tar.returncode != 0:
            raise Unavailable(f"cannot unpack {deb}")

    def tree(self, architecture, suites, names):
        """A directory with the contents of the newest of these packages."""
        with self:
            chosen = [self.find(architecture, suites, re.escape(name))[0] for name in names]
            stamp = "".join(f"{p.name} {p.version}\n" for p, _ in chosen)
            digest = hashlib.sha256(stamp.encode()).hexdigest()[:12]
            tree = self.cache / "trees" / f"{architecture}-{names[0]}-{digest}"
            if tree.exists():
                return tree
            making = tree.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            for package, suite in chosen:
                deb = self.download(architecture, suite, package)
                self.unpack(deb, making)
                deb.unlink()
            making.rename(tree)
            return tree


def write_atomically(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
