# COMMAND runs your model and prints its output and the time of its decode steps; SUPERKERNEL is the switch above.
COMMAND=${COMMAND:-"python run.py"}
PROOF=$PWD/proof
mkdir -p "$PROOF/off" "$PROOF/on"

# 1. Compiled in?
# @WHY@
@LOG@ SUPERKERNEL=1 $COMMAND > "$PROOF/compile.log" 2>&1
@KEEP@
# 2. The runs, off and on in turn.
for RUN in $(seq "${RUNS:-5}"); do
  SUPERKERNEL=0 $COMMAND > "$PROOF/off/$RUN.log" 2>&1
  SUPERKERNEL=1 $COMMAND > "$PROOF/on/$RUN.log" 2>&1
done

# 3. The same output, and faster? improvement_percent in performance.json says by how much.
skadvisor verify --compile-log "$PROOF/@FOUND@" --outputs "$PROOF/off/1.log" "$PROOF/on/1.log" \
  $(printf -- '--before %s ' "$PROOF"/off/*) $(printf -- '--after %s ' "$PROOF"/on/*) --performance "$PROOF/performance.json"

# 4. Record both (skadvisor capture --print has the lines; write to os.environ["RECORD"]), and keep the outcome.
RECORD=$PROOF/record_off SUPERKERNEL=0 $COMMAND
RECORD=$PROOF/record_on SUPERKERNEL=1 $COMMAND
skadvisor compare "$PROOF/record_off" "$PROOF/record_on" --template @TEMPLATE@ --keep
