#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# Installs what `make vm` needs: the emulators and cross compilers of the architectures that are named
# (base: none), or of all.
set -eu

host=$(dpkg --print-architecture)
packages="python3 cpio googletest"
[ $# -gt 0 ] || set -- amd64 arm64 ppc64el riscv64 s390x
for arch in "$@"; do
	case $arch in
	base) continue ;;
	amd64) emulator=qemu-system-x86 compiler=g++-x86-64-linux-gnu ;;
	arm64) emulator=qemu-system-arm compiler=g++-aarch64-linux-gnu ;;
	ppc64el) emulator=qemu-system-ppc compiler=g++-powerpc64le-linux-gnu ;;
	riscv64) emulator=qemu-system-misc compiler=g++-riscv64-linux-gnu ;;
	s390x) emulator=qemu-system-misc compiler=g++-s390x-linux-gnu ;;
	*)
		echo "unknown architecture: $arch" >&2
		exit 2
		;;
	esac
	packages="$packages $emulator"
	[ "$arch" = "$host" ] || packages="$packages $compiler"
done

# shellcheck disable=SC2086
exec "$(dirname "$0")"/../../tools/install-packages.sh $packages
