# MODEL is what vllm serve takes. vLLM-Ascend records where VLLM_TORCH_PROFILER_DIR is set.
MODEL=${MODEL:-Qwen/Qwen3-8B}
PROOF=$PWD/proof
export ASCEND_OP_COMPILE_SAVE_KERNEL_META=1  # writes sk_meta/ into the folder of the server

side() {  # side true|false FOLDER: serve, ask, measure, record
  mkdir -p "$2" && cd "$2"
  VLLM_TORCH_PROFILER_DIR=$2/prof vllm serve "$MODEL" --additional-config "{\"ascend_compilation_config\":
    {\"enable_npugraph_ex\": true, \"enable_static_kernel\": true, \"enable_super_kernel\": $1}}" > server.log 2>&1 &
  SERVER=$!
  until curl -sf localhost:8000/health; do sleep 5; done
  ASK="{\"model\": \"$MODEL\", \"prompt\": \"Name the planets.\", \"max_tokens\": 128, \"temperature\": 0}"
  curl -s localhost:8000/v1/completions -H 'Content-Type: application/json' -d "$ASK" > answer.json
  python -c 'import json; print(json.load(open("answer.json"))["choices"][0]["text"])' > output.txt
  for RUN in $(seq "${RUNS:-5}"); do
    vllm bench serve --model "$MODEL" --dataset-name random --num-prompts 100 --seed 0 > "bench_$RUN.log" 2>&1
  done
  curl -s -X POST localhost:8000/start_profile
  curl -s localhost:8000/v1/completions -H 'Content-Type: application/json' -d "$ASK" > /dev/null
  curl -s -X POST localhost:8000/stop_profile
  kill $SERVER; wait $SERVER || true; cd - > /dev/null
}

# 1. Both sides.
side false "$PROOF/off"
side true "$PROOF/on"

# 2. Compiled in, the same output, and faster? improvement_percent in performance.json says by how much.
skadvisor verify --compile-log "$PROOF/on/sk_meta" --outputs "$PROOF/off/output.txt" "$PROOF/on/output.txt" \
  $(printf -- '--before %s ' "$PROOF"/off/bench_*) $(printf -- '--after %s ' "$PROOF"/on/bench_*) \
  --performance "$PROOF/performance.json"

# 3. Keep the outcome for better forecasts.
skadvisor compare "$PROOF/off/prof" "$PROOF/on/prof" --template @TEMPLATE@ --keep
