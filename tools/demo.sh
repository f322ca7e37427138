#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# Shows the four verbs at work on real tasks in a cgroup of its own, and cleans up whatever happens.
set -eu
build=$1
mount=$(awk '{ for (i = 1; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
	/proc/self/mountinfo)
[ -n "$mount" ] || { echo "demo: no cgroup2 file system is mounted" >&2; exit 1; }
name=freezerctl-demo-$$
dir=$mount/$name
scratch=$(mktemp -d)

cleanup() {
	exec 3>&- 4<&- || true
	"$build/freezerctl" kill --remove "/$name" >/dev/null 2>&1 || true
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$dir/nested"
mkfifo "$scratch/in" "$scratch/out"
"$build/demo_workload" "$dir" <"$scratch/in" >"$scratch/out" &
exec 3>"$scratch/in" 4<"$scratch/out"
read -r line <&4
[ "$line" = ready ]

run() {
	echo "\$ freezerctl $*"
	"$build/freezerctl" "$@"
	echo
}
run freeze "/$name" --tasks
run status "/$name"
run thaw "/$name"
run freeze "/$name"
run kill "/$name" --remove
