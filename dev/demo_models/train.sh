#!/usr/bin/env bash
# Trains the demo models in an environment of their own and exports them to models/.
# MINUTES=90 THREADS=2, PYTHON, and MODELS (the folder to write to) change what is done; a training
# that was interrupted is continued.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=.train
python=$work/venv/bin/python
if [ ! -x "$python" ]; then
  "${PYTHON:-python3}" -m venv "$work/venv"
  "$python" -m pip install -q -r dev/demo_models/requirements.txt
fi
threads=${THREADS:-2}
# Keep freed memory: hundreds of megabytes would go back to the kernel after every step, and be
# faulted in again.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_ARENA_MAX=1
# Threads that spin while they wait take time from whatever else the machine does.
export OMP_NUM_THREADS=1 GOMP_SPINCOUNT=2000
processes=$threads
if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then processes=1; fi
resume=()
if [ -f "$work/demo.pt" ]; then resume=(--resume); fi
"$python" dev/demo_models/train.py --minutes "${MINUTES:-90}" --threads "$threads" \
  --processes "$processes" \
  --checkpoint "$work/demo.pt" "${resume[@]}"
"$python" dev/demo_models/export.py --checkpoint "$work/demo.pt" --output "${MODELS:-models}"
