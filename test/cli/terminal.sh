# shellcheck shell=bash
# What terminals of 40, 80 and 200 columns are given: no line is longer but those that tables cannot make shorter; with
# UTF-8 and without.
cd "$DATA" || exit
terminal() {
    local columns=$1 locale=$2
    shift 2
    echo "\$ qmark $* # $columns columns, $locale"
    LC_ALL=$locale TERM=xterm python3 "$QM_DATA_DIR/test/in_terminal.py" "$columns" 24 "$QMARK" "$@" </dev/null
    echo "exit code: $?"
    echo
}
for columns in 40 80 200; do
    terminal $columns C show result-example.yaml
done
terminal 80 C.UTF-8 show result-pocl.yaml
terminal 40 C.UTF-8 help show
terminal 80 C help sign
terminal 80 C.UTF-8 compare result-example.yaml result-example.yaml | head -30
terminal 40 C show missing.yaml
# No escape sequence, whatever the terminal can.
NO_COLOR='' LC_ALL=C.UTF-8 TERM=xterm-256color python3 "$QM_DATA_DIR/test/in_terminal.py" 80 24 "$QMARK" show result-example.yaml |
    grep -c $'\033'
