# shellcheck shell=bash
# The statement that a real result supports, in every format, and that the audit of its YAML agrees.
qm claim --scheme w8a8 "$DATA/result-pocl.yaml"
qm claim --format markdown --scheme w4a8-g32-static "$DATA/result-pocl.yaml"
qm claim --format json --scheme w8a8 "$DATA/result-pocl.yaml" | head -70
qm claim --format yaml --scheme w4a8-g32-static "$DATA/result-pocl.yaml"
"$QMARK" claim --format yaml --scheme w8a8 "$DATA/result-pocl.yaml" >written.yaml
qm audit written.yaml | tail -4
# The details of a result stand in its claim.
qm claim --scheme w4a16-g32 "$DATA/result-sets.yaml" | sed -n '/^accuracy/,/^throughput/p'
# Several results: a statement for each scheme; of what is wrong nothing is claimed.
qm claim "$DATA/result-pocl.yaml" "$DATA/result-example.yaml" | grep -E ' on .* through |nothing is claimed|exit code'
qm claim --format json "$DATA/result-example.yaml" | grep -A 12 '"refused"'
qm claim --scheme f16 "$DATA/result-example.yaml" | grep -A 1 -E 'As a statement|exit code'
# A sustained run: steady, not steady, and too noisy to tell.
for scheme in f16 w8a8 w4a8-g32-static; do
    qm claim --scheme $scheme "$DATA/result-sustained.yaml" | tr '\n' ' ' | grep -oE 'Measured for [^.]*\.[^.]*\.?[^.]*\.|As a statement[^.]*\.'
done
qm claim --scheme f16 "$DATA/result-sustained.yaml" | sed -n '/^sustained/,/^tool chain/p'
# What cannot be claimed.
qm claim
qm claim missing.yaml
qm claim --format yaml "$DATA/result-pocl.yaml"
qm claim --format csv "$DATA/result-pocl.yaml"
qm claim --scheme w8a8-static "$DATA/result-example.yaml"
qm claim --scheme w9 "$DATA/result-example.yaml"
qm claim "$QM_DATA_DIR/profiles/claims/complete.yaml" 2>&1 | sed "s#$QM_DATA_DIR/##"
sed 's/int4/int3/' "$DATA/result-pocl.yaml" >edited.yaml
qm claim edited.yaml
ls
