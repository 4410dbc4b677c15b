#!/bin/bash
# The same on one machine, to try it: N processes, one part each, then the merged report.
#
#   bash examples/cluster/local.sh N [options of npm run paper, such as --quick]
set -eu

out=${PAPER_OUT:-out/paper}
count=$1
shift
pids=()
for part in $(seq 1 "$count"); do
  # shellcheck disable=SC2086 # several names are several arguments
  node dist/paper/index.js ${PAPER_EXPERIMENTS:-all} "$@" \
    --shard "$part/$count" --threads 1 --out "$out/part-$part" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
bash "$(dirname "$0")/merge.sh" "$count"
