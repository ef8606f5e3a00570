# shellcheck shell=bash
qm compare "$DATA/result-example.yaml" "$DATA/result-other-device.yaml"
sed 's/^  sha256: [0-9a-f]*$/  sha256: 0000000000000000000000000000000000000000000000000000000000000000/' \
    "$DATA/result-example.yaml" >model.yaml
qm compare "$DATA/result-example.yaml" model.yaml
qm compare "$DATA/result-example.yaml" "$DATA/result-example.yaml"
qm compare --json "$DATA/result-example.yaml" model.yaml
qm compare "$DATA/result-example.yaml"
qm compare "$DATA/result-example.yaml" missing.yaml
