"""Shell scripts of a launcher, which run in the worker."""

# Waits until a file has a line.
WAIT = """
until_line() {
  for _ in $(seq 300); do
    if grep -q -x -F -e "$2" "$1" 2> /dev/null; then return; fi
    sleep 0.1
  done
  echo "no line '$2' in $1: $(cat "$1")" >&2
  return 1
}
"""
