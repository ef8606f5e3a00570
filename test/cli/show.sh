# shellcheck shell=bash
cd "$DATA" && qm() { "$QMARK" "$@" 2>&1; echo "exit code: $?"; echo; }
qm show result-example.yaml
qm show --points --tasks result-other-device.yaml
qm show result-example.yaml result-other-device.yaml | tail -25
# Details, exact match against its thresholds, several evaluation sets; older results have none of them.
qm show --details result-sets.yaml
qm show --details result-example.yaml | grep -c kl_divergence_p50
# Sustained runs, noise, clocks and warnings; older results have none of them.
qm show --points --sustained result-sustained.yaml
qm show --sustained result-example.yaml | grep -A 1 '^sustained'
qm show --json result-example.yaml | head -20
# Rows for programs and documents: no speed without its accuracy before it. A directory stands for what is in it.
qm show --print csv result-example.yaml | sed -n '1p; 4p; 8p'
qm show --print md result-example.yaml
qm show . --print csv | cut -d , -f 1 | uniq -c | sed 's/^ *//'
qm show --print jsonl --json result-example.yaml
qm show --print cvs result-example.yaml
