#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# Installs what the build and the tests need.
set -eu

exec "$(dirname "$0")"/install-packages.sh make g++ clang llvm clang-format clang-tidy bpftool \
	libbpf-dev libelf-dev zlib1g-dev libncurses-dev pkg-config lowdown libcli11-dev \
	nlohmann-json3-dev libgtest-dev libfuse3-dev fuse3 crun strace
