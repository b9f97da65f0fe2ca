# rauc-session.sh CONF TRACE BUNDLE...: installs bundles, one after the other, by a service of rauc on a
# message bus of its own; prints "EXIT WALL-SECS CPU-SECS" for each. With a TRACE other than - the
# service runs under strace.
conf=$1 trace=$2
shift 2
export DBUS_STARTER_BUS_TYPE=session
if test "$trace" = -; then run=; else run="strace -f -o $trace -e trace=fsync,fdatasync,syncfs,sync,/rename"; fi
$run rauc --conf="$conf" --override-boot-slot=A service >service.log 2>&1 &
service=$!
until rauc status >/dev/null 2>&1; do
  kill -0 $service || exit 1
  sleep 0.05
done
# ticks of 10 ms of the service, and of its children
ticks() { awk '{print $14 + $15 + $16 + $17}' "/proc/$service/stat"; }
for bundle; do
  before=$(ticks) begin=$(date +%s%N)
  rauc install "$bundle" >client.log 2>&1
  exit=$?
  end=$(date +%s%N)
  after=$(ticks)
  echo "$exit $(((end - begin) / 1000000)) $(((after - before) * 10))"
done
# strace lets no signal through: what it runs is told to end
if test -z "$run"; then ends=$service; else read -r ends <"/proc/$service/task/$service/children"; fi
kill -TERM "$ends"
wait $service 2>/dev/null
exit 0
