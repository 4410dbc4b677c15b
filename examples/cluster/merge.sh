#!/bin/bash
# Joins the parts 1 to N of a cluster run into one report: bash examples/cluster/merge.sh N
set -eu

out=${PAPER_OUT:-out/paper}
count=$1
parts=$(seq -f "$out/part-%g" 1 "$count")

# shellcheck disable=SC2086 # one argument a part
exec node dist/paper/index.js merge $parts --out "$out/merged"
