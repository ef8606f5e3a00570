# shellcheck shell=bash
cd "$DATA" && qm() { "$QMARK" "$@" 2>&1; echo "exit code: $?"; echo; }
qm show result-example.yaml
qm show --points --tasks result-other-device.yaml
qm show result-example.yaml result-other-device.yaml | tail -25
qm show --json result-example.yaml | head -20
