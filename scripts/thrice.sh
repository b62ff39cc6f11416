# Run a command that installs something, up to three times: a registry may fail once.
for pause in 5 20; do
  "$@" && exit
  echo "it failed, and is tried again in $pause s: $*" >&2
  sleep "$pause"
done
exec "$@"
