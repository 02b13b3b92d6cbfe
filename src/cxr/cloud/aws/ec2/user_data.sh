set -uo pipefail
# Before all else, so that nothing that goes wrong below can keep the machine: shutting down terminates it.
shutdown -h "+$HARD_STOP_MINUTES" || poweroff

export TZ=UTC LC_ALL=C.UTF-8 HOME="${HOME:-/root}" AWS_DEFAULT_REGION="$REGION"
STATE="$WORK/state" LOG="$WORK/trainer.log" METADATA=http://169.254.169.254/latest
printf -v STARTED '%(%Y-%m-%dT%H:%M:%S+00:00)T' -1
INSTANCE=""
mkdir -p "$STATE" "$ROOT"/{model,checkpoints,output/data,input/config} "$ROOT"/input/data/{training,weights,trainer}
: >>"$LOG"

# The command of the machine image, or Amazon's own container of it.
AWS=(aws)
command -v aws >/dev/null ||
  AWS=(docker run --rm --network host --volume "$WORK:$WORK" --volume "$ROOT:$ROOT" --env AWS_DEFAULT_REGION amazon/aws-cli)

s3() { # seconds at most, then the command
  local seconds=$1
  shift
  timeout "$seconds" "${AWS[@]}" s3 "$@" --only-show-errors
}

try_thrice() {
  "$@" || { sleep 3; "$@"; } || { sleep 10; "$@"; }
}

metadata() { # IMDSv2: a token for each question
  local token
  token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$METADATA/api/token") || return 1
  curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" "$METADATA/meta-data/$1"
}

stamp() { # each line of the input behind the time, in UTC
  local line now
  while IFS= read -r line || [[ -n $line ]]; do
    printf -v now '%(%Y-%m-%dT%H:%M:%S+00:00)T' -1
    printf '%s %s\n' "$now" "$line"
  done
}

send_log() {
  s3 60 cp "$LOG" "$OUTPUT/logs/trainer.log"
}

send_checkpoints() { # whole ones only: one that is being written has another name
  s3 600 sync "$ROOT/checkpoints" "$OUTPUT/checkpoints" --delete --exclude '*' --include 'cxr-*.npz'
}

keep_sending() {
  local waited=0
  until [[ -e $STATE/over ]]; do
    sleep 1
    if ((++waited % SEND_SECONDS == 0)); then
      send_log
      send_checkpoints
    fi
  done
}

watch_for_interruption() { # the notice comes two minutes before the end
  until [[ -e $STATE/over ]]; do
    if metadata spot/instance-action >/dev/null; then
      echo "the spot machine was taken back" >"$STATE/reason"
      echo "the spot machine is taken back: stopping the trainer" | stamp >>"$LOG"
      until docker stop --time 60 trainer >/dev/null 2>&1 || [[ -e $STATE/over ]]; do
        sleep 1
      done
      return
    fi
    sleep "$WATCH_SECONDS"
  done
}

fetch() {
  local here="$ROOT/input/data" name
  try_thrice s3 300 cp "$OUTPUT/$WHEEL" "$here/trainer/$WHEEL" || return 1
  for name in manifest.csv manifest.json; do
    try_thrice s3 300 cp "$OUTPUT/$name" "$here/training/$name" || return 1
  done
  [[ -z $WEIGHTS ]] || try_thrice s3 600 cp "$OUTPUT/weights/$WEIGHTS" "$here/weights/$WEIGHTS" || return 1
  [[ -z $RESUME_FROM ]] || try_thrice s3 600 cp --recursive "$RESUME_FROM" "$ROOT/checkpoints" || return 1
}

train() {
  # The wheel is installed by force first: pip would leave a cxr of the same version that the image has.
  local install='python3 -m pip install --quiet --no-deps --force-reinstall "$1"'
  install+=' && python3 -m pip install --quiet "$1[trainer,aws]"'
  # --init: a process that is the container's first ignores SIGTERM. The host's network: the role's credentials are one
  # hop away, no further.
  timeout --signal=TERM --kill-after=120 "$TIMEOUT_SECONDS" \
    docker run --rm --init --name trainer --network host "${GPU_FLAGS[@]}" --volume "$ROOT:/opt/ml" \
    --env TRAINING_JOB_NAME="$JOB" --env AWS_DEFAULT_REGION --env PYTHONUNBUFFERED=1 "$IMAGE" \
    sh -c "$install"' && shift && exec python3 -m cxr.local_baseline.trainer "$@"' \
    trainer "/opt/ml/input/data/trainer/$WHEEL" "${TRAINER_ARGUMENTS[@]}"
  local code=$?
  # A container outlives the command that started it when that is killed.
  docker kill trainer >/dev/null 2>&1
  return $code
}

send_model() { # bundle.json last: a folder without it is no bundle
  if [[ ! -f $ROOT/model/bundle.json ]]; then
    echo "the trainer left no bundle" >"$STATE/reason"
    return 1
  fi
  try_thrice s3 1800 cp --recursive "$ROOT/output/data" "$OUTPUT/output"
  if ! { try_thrice s3 1800 cp --recursive "$ROOT/model" "$OUTPUT/model" --exclude bundle.json &&
    try_thrice s3 300 cp "$ROOT/model/bundle.json" "$OUTPUT/model/bundle.json"; }; then
    echo "the model could not be sent to $OUTPUT/model" >"$STATE/reason"
    return 1
  fi
}

work() {
  echo "job $JOB on $INSTANCE: at most $TIMEOUT_SECONDS s of training, shut down in $HARD_STOP_MINUTES minutes"
  if ! fetch; then
    echo "the trainer or its inputs could not be fetched from $OUTPUT" >"$STATE/reason"
    return 1
  fi
  if ! try_thrice docker pull --quiet "$IMAGE"; then
    echo "the image $IMAGE could not be fetched" >"$STATE/reason"
    return 1
  fi
  [[ ! -e $STATE/reason ]] || return 1
  train
  local code=$?
  send_checkpoints
  if ((code == 124)); then
    echo "it ran longer than its timeout" >"$STATE/reason"
  elif ((code != 0)) && [[ ! -e $STATE/reason && -s $ROOT/output/failure ]]; then
    cp "$ROOT/output/failure" "$STATE/reason"
  fi
  ((code == 0)) || return $code
  send_model
}

quoted() { # a line as the inside of a JSON text
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  printf '%s' "${text//[[:cntrl:]]/ }"
}

finish() {
  local code=$? reason="" ended
  trap - EXIT
  trap '' TERM INT
  touch "$STATE/over"
  wait "$SENDER" "$WATCHER" 2>/dev/null
  if ((code != 0)); then
    reason="the trainer exited with a non-zero status of $code"
    [[ ! -s $STATE/reason ]] || reason=$(<"$STATE/reason")
  fi
  echo "ended with status $code${reason:+: $reason}" | stamp >>"$LOG"
  try_thrice send_log
  printf -v ended '%(%Y-%m-%dT%H:%M:%S+00:00)T' -1
  printf '{"exit": %d, "reason": "%s", "started": "%s", "ended": "%s", "instance": "%s"}\n' \
    "$code" "$(quoted "${reason:0:1000}")" "$STARTED" "$ended" "$INSTANCE" >"$STATE/exit.json"
  try_thrice s3 60 cp "$STATE/exit.json" "$OUTPUT/exit.json"
  shutdown -h now
}

told_to_end() {
  echo "the machine was told to end" >"$STATE/reason"
  docker stop --time 20 trainer >/dev/null 2>&1
  wait "$WORKER" && exit 0
  exit 143
}

SENDER="" WATCHER="" WORKER=""
trap finish EXIT
trap told_to_end TERM INT
INSTANCE=$(metadata instance-id)
keep_sending &
SENDER=$!
if ((SPOT)); then
  watch_for_interruption &
  WATCHER=$!
fi
{ work 2>&1 | stamp >>"$LOG"; } &
WORKER=$!
wait "$WORKER"
exit $?
