#!/bin/sh
# The report in a browser: test/report_browser.mjs with what it needs from npm, in a folder of the build.
#
#   test/run_report_browser.sh QMARK QM_MAKE_RESULTS FOLDER
#
# Without chromium, node or npm the test is skipped (77), which says why; where CI=true it fails.
set -eu
qmark=$1 make_results=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "report_browser: not run: $*"
    [ "${CI:-}" = true ] && exit 1
    exit 77
}

chromium=${QM_CHROMIUM:-$(command -v chromium || true)}
[ -n "$chromium" ] || skip "no chromium; apt-get install chromium, or set QM_CHROMIUM"
command -v node >/dev/null || skip "no node; apt-get install nodejs"
command -v npm >/dev/null || skip "no npm; apt-get install npm"

mkdir -p "$folder/npm"
# The packages stay from one build to the next as long as the lock file does.
if ! cmp -s "$here/browser/package-lock.json" "$folder/npm/installed.json"; then
    cp "$here/browser/package.json" "$here/browser/package-lock.json" "$folder/npm"
    (cd "$folder/npm" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        skip "npm could not install playwright-core and axe-core of test/browser/package-lock.json"
    cp "$here/browser/package-lock.json" "$folder/npm/installed.json"
fi
exec node "$here/report_browser.mjs" "$qmark" "$make_results" "$here/.." "$folder" "$chromium"
