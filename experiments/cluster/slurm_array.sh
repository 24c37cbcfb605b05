#!/usr/bin/env bash
#SBATCH --job-name=ident-theory
#SBATCH --array=0-15
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=02:00:00
# sbatch --array=0-15 slurm_array.sh FAMILY.toml OUT [more options of `ident-theory search`]
# OUT must be on a file system that all nodes see. Resubmit to go on after a kill: finished tiles are skipped.
set -euo pipefail
if [ "$#" -lt 2 ]; then
    echo "usage: sbatch --array=0-N $0 FAMILY.toml OUT [options]" >&2
    exit 2
fi
family=$1 out=$2
shift 2
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
first=${SLURM_ARRAY_TASK_MIN:-0}
exec ident-theory search "$family" --out "$out" \
    --shard "$((SLURM_ARRAY_TASK_ID - first))/${SLURM_ARRAY_TASK_COUNT:?run me as a job array: sbatch --array=0-15}" "$@"
