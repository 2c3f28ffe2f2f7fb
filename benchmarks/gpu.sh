#!/usr/bin/env bash
# What only a machine with a GPU can show, in under nine minutes, from a checkout: no build, no network.
#
#   benchmarks/gpu.sh FOLDER [--device cuda]
#
# FOLDER gets a file for each part, NAME.txt and for a profile NAME.yaml, written as the part goes on, so that
# whatever ends the script early leaves what was known by then, and summary.txt (what ran, how long, how it
# ended). A part that fails stops no other. With `--device cpu` the same script runs anywhere, to show that it
# works. PYTHON names the interpreter that has torch and what pyproject.toml lists; the checkout itself need
# not be installed. PARTS="machine tests" runs only these, and REFERENCE_SECONDS is the time budget of the
# reference profile.
set -uo pipefail

usage() { echo "usage: [PARTS='machine tests alone main backends reference'] benchmarks/gpu.sh FOLDER [--device cuda]" >&2; exit 2; }
[ $# -eq 1 ] || { [ $# -eq 3 ] && [ "$2" = --device ]; } || usage
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
device=${3:-cuda}
budget=${REFERENCE_SECONDS:-240}
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 COLUMNS=160
export XDG_DATA_HOME=$(mktemp -d)  # rooflines are measured here, not taken from an earlier day
trap 'rm -rf "$XDG_DATA_HOME"' EXIT

# part NAME SECONDS COMMAND...: at most so long; what it prints goes to FOLDER/NAME.txt as it comes.
part() {
  local name=$1 limit=$2 begun=$SECONDS
  shift 2
  [[ " ${PARTS:-$name} " == *" $name "* ]] || return 0
  timeout --signal=INT --kill-after=10 "$limit" "$@" 2>&1 | head -c 8000000 > "$out/$name.txt"
  echo "$name: exit ${PIPESTATUS[0]} after $((SECONDS - begun)) of at most $limit s: $*" | tee -a "$out/summary.txt"
}

effattn=("$python" -m effattn_cli)
: > "$out/summary.txt"
part machine 40 "${effattn[@]}" devices --device "$device"
nvidia-smi >> "$out/summary.txt" 2>&1
tests=("$python" -m pytest -q -m gpu -p no:cacheprovider --tb=short --durations=15 -p no:benchmark)
part tests 120 "${tests[@]}" tests/gpu/test_gpu.py
part alone 90 "${tests[@]}" --numprocesses=0 tests/gpu/test_alone.py
part main 60 "${effattn[@]}" profile --variant linformer --seq 1k..64k --dtype bf16 --device "$device" \
  --time-budget 40s --out "$out/main.yaml" --force
part backends 45 "${effattn[@]}" profile --variant 'sdpa:backend=auto,flash,efficient,cudnn' --kv-heads 2 \
  --causal --phase decode --seq 4k,16k --batch 8 --dtype bf16 --device "$device" --baseline none --rounds 1 \
  --time-budget 30s --out "$out/backends.yaml" --force
part reference $((budget + 60)) "${effattn[@]}" profile --variant all --causal --seq 4k,16k --batch 8 \
  --phase forward,train,decode --dtype bf16 --device "$device" --rounds 1 --time-limit 10s \
  --time-budget "${budget}s" --out "$out/reference.yaml" --force
echo "all: $SECONDS s" | tee -a "$out/summary.txt"
