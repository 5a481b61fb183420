# In the folder of cann-recipes-infer. MODEL is a folder under models/, YAML the configuration in which the scope is on.
MODEL=${MODEL:-qwen}
YAML=${YAML:-qwen3_8b_1tp.yaml}
CONFIG=models/$MODEL/config
PROOF=$PWD/proof

# The two sides differ in the switch alone; both again with the profiler on, to be recorded.
cp "$CONFIG/$YAML" "$CONFIG/sk_on.yaml"
sed 's/\(enable_superkernel: *\)True/\1False/' "$CONFIG/$YAML" > "$CONFIG/sk_off.yaml"
for SIDE in off on; do
  sed 's/\(enable_profiler: *\)False/\1True/' "$CONFIG/sk_$SIDE.yaml" > "$CONFIG/record_$SIDE.yaml"
  grep -q 'enable_profiler: *True' "$CONFIG/record_$SIDE.yaml" || echo "add enable_profiler: True to record_$SIDE.yaml"
done

run() {  # run NAME FOLDER: one run with NAME.yaml, its logs kept in FOLDER
  bash executor/scripts/infer.sh --model "$MODEL" --yaml "$1.yaml"
  mkdir -p "$2"
  cp models/"$MODEL"/res/*/*_"$1"/log_*.log "$2"
}

# 1. Compiled in?
# GE names what it takes in at INFO only, which slows the run: a run of its own.
ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_PROCESS_LOG_PATH=$PROOF/plog run sk_on "$PROOF/compile"

# 2. The runs, off and on in turn.
for RUN in $(seq "${RUNS:-5}"); do
  for SIDE in off on; do run "sk_$SIDE" "$PROOF/$SIDE/$RUN"; done
done

# 3. The same output, and faster? improvement_percent in performance.json says by how much.
skadvisor verify --compile-log "$PROOF/plog" --outputs "$PROOF/off/1/log_0.log" "$PROOF/on/1/log_0.log" \
  $(printf -- '--before %s ' "$PROOF"/off/*) $(printf -- '--after %s ' "$PROOF"/on/*) --performance "$PROOF/performance.json"

# 4. Record both, and keep the outcome for better forecasts.
for SIDE in off on; do
  run "record_$SIDE" "$PROOF/record_$SIDE"
  cp -r models/"$MODEL"/res/*/*_"record_$SIDE"/prof/decode "$PROOF/record_$SIDE/prof"
done
skadvisor compare "$PROOF/record_off/prof" "$PROOF/record_on/prof" --template @TEMPLATE@ --keep
