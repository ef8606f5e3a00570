# shellcheck shell=bash
# The stock claims, one beside a result of ours, and malformed ones: exit code 2 and one line with file and line.
cp "$QM_DATA_DIR"/profiles/claims/*.yaml .
for claim in press-int8 mobile-npu-tops model-card-gptq benchmark-submission complete; do
    qm audit $claim.yaml
done
qm audit --format json mobile-npu-tops.yaml
qm audit complete.yaml press-int8.yaml | grep -E 'verdict|exit code'
qm audit --against "$DATA/result-pocl.yaml" --scheme w8a8 complete.yaml | sed -n '/^against/,$p'
qm audit --against "$DATA/result-pocl.yaml" --scheme w8a8 press-int8.yaml | sed -n '/^against/,$p'
qm audit --format json --against "$DATA/result-pocl.yaml" --scheme w8a8 press-int8.yaml | sed -n '/"against"/,$p' | head -30
qm audit --against "$DATA/result-pocl.yaml" complete.yaml
qm audit --against "$DATA/result-example.yaml" --scheme w8a8-static complete.yaml
qm audit --against missing.yaml complete.yaml
qm audit --scheme w8a8 complete.yaml
qm audit
qm audit missing.yaml
qm audit --format yaml complete.yaml
qm audit "$DATA/result-example.yaml"
sed 's/^calibration_set:/calibration-set:/' complete.yaml >misspelt.yaml
qm audit misspelt.yaml
sed 's/ratio: 1.61/ratio: 0/' complete.yaml >zero.yaml
qm audit zero.yaml
sed 's/low: 1.58/low: 1.88/' complete.yaml >upside-down.yaml
qm audit upside-down.yaml
head -c 1000 complete.yaml >truncated.yaml
qm audit truncated.yaml | tail -3
printf 'claim: 1\nprecision: {weights: [' >broken.yaml
qm audit broken.yaml
printf '{"claim": 1, "throughput_gain": {"gains": [{"ratio": "fast"}]}}' >text.json
qm audit text.json
sed 's/low: 0.00192/low: 0.0022/' complete.yaml >outside.yaml
qm audit outside.yaml | grep -E -A 1 'CONTRADICTION|verdict|exit code'
