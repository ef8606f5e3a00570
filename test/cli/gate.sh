# shellcheck shell=bash
# Verdicts by simulation are in test_gate.c; a live gate takes a driver (tools/gate_trials.sh).
qm gate
qm gate --help
qm gate "$DATA/result-example.yaml"
# One run does not say how runs differ: no speed of it is judged.
qm gate "$DATA/result-example.yaml" "$DATA/result-example.yaml"
qm gate "$DATA/result-example.yaml" "$DATA/result-other-device.yaml"
sed 's/^  sha256: [0-9a-f]*$/  sha256: 0000000000000000000000000000000000000000000000000000000000000000/' \
    "$DATA/result-example.yaml" >model.yaml
qm gate "$DATA/result-example.yaml" model.yaml
# A sustained rate stands beside its scheme's accuracy, as every speed does.
qm gate "$DATA/result-sustained.yaml" "$DATA/result-sustained.yaml" | grep -i sustained
mkdir -p empty
qm gate empty "$DATA/result-example.yaml"
qm gate --a-env NOTHING "$DATA/result-example.yaml"
qm gate --a-env NOTHING
qm gate --a-device vulkan:0
qm gate --rerun "$DATA/result-example.yaml" "$DATA/result-example.yaml"
cat >known.yaml <<END
known:
  - {row: f16, kind: memory, reason: a test}
  - {row: f16 decode batch 1 depth 64, reason: not measured in this test}
END
qm gate --known known.yaml --github "$DATA/result-example.yaml" "$DATA/result-example.yaml" | tail -n 6
echo "known: 3" >known.yaml
qm gate --known known.yaml "$DATA/result-example.yaml" "$DATA/result-example.yaml"
qm gate --junit junit.xml "$DATA/result-example.yaml" "$DATA/result-example.yaml" >/dev/null
head -n 5 junit.xml
qm gate --history --db no.sqlite "$DATA/result-example.yaml"
qm gate --db no.sqlite "$DATA/result-example.yaml" "$DATA/result-example.yaml"
