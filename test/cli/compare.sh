# shellcheck shell=bash
qm compare "$DATA/result-example.yaml" "$DATA/result-other-device.yaml"
sed 's/^  sha256: [0-9a-f]*$/  sha256: 0000000000000000000000000000000000000000000000000000000000000000/' \
    "$DATA/result-example.yaml" >model.yaml
qm compare "$DATA/result-example.yaml" model.yaml
qm compare "$DATA/result-example.yaml" "$DATA/result-example.yaml"
qm compare --json "$DATA/result-example.yaml" model.yaml
# One scheme that is not comparable leaves the others.
sed '/^- name: w8a8$/,/^- name: w8a8-static$/s/\(kernel_hash: "*\)[0-9a-f]\{8\}/\111111111/' "$DATA/result-example.yaml" >scheme.yaml
qm compare --points "$DATA/result-example.yaml" scheme.yaml
qm compare --csv "$DATA/result-example.yaml" scheme.yaml
qm compare --csv --json "$DATA/result-example.yaml" scheme.yaml
# Of many each is compared with the first; a directory stands for all results in it.
mkdir -p many && for i in 1 2 3 4 5 6 7; do cp "$DATA/result-example.yaml" many/$i.yaml; done
cp "$DATA/result-other-device.yaml" model.yaml many
echo "no: result" >many/other.yaml
qm compare many scheme.yaml
qm compare --json many scheme.yaml | sed -n '/"groups"/,$p'
qm compare "$DATA/result-example.yaml"
qm compare "$DATA/result-example.yaml" missing.yaml
qm compare "$DATA/result-example.yaml" many/other.yaml
