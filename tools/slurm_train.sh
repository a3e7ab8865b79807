#!/usr/bin/env bash
# Train on a Slurm cluster.
#   tools/slurm_train.sh PARTITION JOB CONFIG [arguments of tools/train.py]
# Settings: GPUS (8 in all), GPUS_PER_NODE (8), CPUS_PER_TASK (5), PORT, SRUN_ARGS.
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,4s/^# *//p' "$0" >&2; exit 2; fi
partition=$1 job=$2 config=$3
shift 3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$per_node" ]; then per_node=$gpus; fi
export MASTER_PORT=${PORT:-29500}
# shellcheck disable=SC2086  # SRUN_ARGS is a list of arguments
exec srun --partition="$partition" --job-name="$job" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --gres="gpu:$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
