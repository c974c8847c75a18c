#!/bin/sh
# Puts the rules and series of benches/promql.rs into a Prometheus and compares CPU time a pass and
# values with ours. Needs prometheus, promtool, curl and python3.
#
#   benches/peers-rules/run.sh [JOBS]        10000 unless given; 10 series and one rule each
#
# CPU time is user and system time from /proc, so that other work on the machine does not count.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
jobs=${1:-10000}
work=$(mktemp -d)
pid=
stop() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT INT TERM

echo "ours:"
cd "$here/../.."
cargo bench -q --bench promql -- --jobs "$jobs" --values 20 >"$work/ours"
grep -v '^value' "$work/ours"
grep '^value' "$work/ours" | sort >"$work/ours.values"
ours=$(awk '/^cpu_ms/ { print $2 }' "$work/ours")

# The samples end well after now, so that every evaluation finds a full window.
base=$(($(date +%s) / 15 * 15 - 600))
python3 "$here/data.py" "$jobs" "$base" "$work"
promtool tsdb create-blocks-from openmetrics "$work/data.om" "$work/data" >/dev/null
rm "$work/data.om"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --storage.tsdb.retention.time=10y --web.listen-address=127.0.0.1:0 \
    --log.level=info >"$work/log" 2>&1 &
pid=$!
for _ in $(seq 120); do
    address=$(sed -n 's/.*Listening on.*address=\(127[0-9.:]*\).*/\1/p' "$work/log" | head -1)
    [ -n "$address" ] && curl -sf "http://$address/-/ready" >/dev/null && break
    sleep 1
done
echo "theirs: $(prometheus --version 2>&1 | head -1)"
python3 "$here/measure.py" "$address" "$pid" "$jobs" "$base" "$work" "$ours"
