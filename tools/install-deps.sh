#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# Installs what the build and the tests need, from the system's own package sources. Does nothing, and
# needs neither root nor a network, when all of it is there.
set -eu

packages="make g++ clang llvm clang-format clang-tidy bpftool libbpf-dev libelf-dev zlib1g-dev
libncurses-dev pkg-config lowdown libcli11-dev nlohmann-json3-dev libgtest-dev libfuse3-dev fuse3"

missing=
for package in $packages; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing
