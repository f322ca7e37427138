#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# run.sh PROGRAM CORPUS [SECONDS]: fuzzes the reader of recordings for that long, a minute by default.
# Starts from the recordings beside this file and from what earlier runs found, which CORPUS keeps.
set -eu
program=$1
corpus=$2
seconds=${3:-60}
seeds=$(dirname "$0")/seeds

mkdir -p "$corpus"
for recording in "$seeds"/*.record; do
	name=$(basename "$recording" .record)
	cp "$recording" "$corpus/$name"
	# Without the checksums, which the program adds: whole, and each line alone.
	sed -e 1d -e 's/^[0-9a-f]* [0-9]* //' "$recording" >"$corpus/$name-lines"
	sort -t'"' -k6,6 -u "$corpus/$name-lines" |
		awk -v stem="$corpus/$name-line-" '{ print > (stem NR); close(stem NR) }'
done
# The words of the format, for the mutations.
cat "$seeds"/*.record | grep -o '"[A-Za-z_-]*"' | sort -u >"$corpus.dict"

exec "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
	-dict="$corpus.dict" -artifact_prefix="$corpus." -print_final_stats=1 "$corpus"
