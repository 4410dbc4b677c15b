#!/bin/bash
# The paper's experiments as a Slurm array: each task does one part of the grid.
#
#   sbatch --array=1-20 examples/cluster/slurm.sh             submit
#   bash examples/cluster/merge.sh 20                         join the parts, when all are done
#
# A task that is stopped (time limit, pre-emption) goes on where it was when it is submitted again.
# FLATLORA_DATA names the data directory, PAPER_OUT a folder that all nodes share (default: out/paper).
#SBATCH --job-name=flatlora-paper
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=02:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
set -eu

out=${PAPER_OUT:-out/paper}
part=$SLURM_ARRAY_TASK_ID
count=$SLURM_ARRAY_TASK_COUNT

# Built once beforehand (npm ci && npm run build), so that tasks do not build over one another.
exec node dist/paper/index.js ${PAPER_EXPERIMENTS:-all} ${PAPER_OPTIONS:-} \
  --shard "$part/$count" --threads "${SLURM_CPUS_PER_TASK:-1}" --out "$out/part-$part"
