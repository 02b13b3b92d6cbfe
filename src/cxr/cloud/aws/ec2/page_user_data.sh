set -uo pipefail
# Before all else, so that nothing that goes wrong below can keep the machine: shutting down terminates it.
shutdown -h "+$HARD_STOP_MINUTES" || poweroff

export TZ=UTC LC_ALL=C.UTF-8 HOME="${HOME:-/root}" AWS_DEFAULT_REGION="$REGION"
umask 022
mkdir -p "$WORK"

s3() { # seconds at most, then the command
  local seconds=$1
  shift
  timeout "$seconds" aws s3 "$@" --only-show-errors
}

# A user that is made for the command, may write nothing, bind port 80, and cannot ask for the role's credentials.
as_nobody() {
  systemd-run --quiet --collect --property=DynamicUser=yes --property=AmbientCapabilities=CAP_NET_BIND_SERVICE \
    --property=CapabilityBoundingSet=CAP_NET_BIND_SERVICE --property=IPAddressDeny=169.254.169.254 \
    --property=TasksMax=256 "$@"
}

fetch() { # the page beside the one that is served, when the list of its files is a new one
  s3 60 cp "$PAGE/$LIST" "$WORK/list.json" || return 1
  [[ ! -f $WORK/page/$LIST || $(<"$WORK/list.json") != "$(<"$WORK/page/$LIST")" ]] || return 1
  rm -rf "$WORK/next"
  s3 1800 cp --recursive "$PAGE" "$WORK/next" || return 1
  # One that is just being sent is not whole: the next minute.
  as_nobody --wait --pipe python3 -IS "$WORK/next/$PROGRAM" "$WORK/next" --check
}

serve() { # what runs has read the old list: it is started anew
  systemctl stop cxr-page.service 2>/dev/null
  rm -rf "$WORK/page"
  mv "$WORK/next" "$WORK/page"
  as_nobody --unit=cxr-page --property=Restart=always --property=RestartSec=1 \
    python3 -IS "$WORK/page/$PROGRAM" "$WORK/page" "$ADDRESS" "$PORT"
}

while true; do
  if fetch; then
    serve
  fi
  sleep "$FETCH_SECONDS"
done
