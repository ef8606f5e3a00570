# shellcheck shell=bash
# Results kept, listed, and what changed over time.
unset QM_HISTORY
export XDG_DATA_HOME=$PWD/data
qm history list
qm history add "$DATA/result-pocl.yaml"
qm history add "$DATA/result-pocl.yaml" "$DATA/result-example.yaml"
ls data/qmark/history.sqlite
qm history list
qm history list --scheme w8a8 --limit 1 --json | sed -E '/"added"/d'
qm history list --device nothing
qm history trend --scheme w8a8 --phase decode --batch 1 --device pocl
qm history baseline "$DATA/result-pocl.yaml"
# Another driver version later: a mark in the series, and a result to compare with.
sed -e 's/2026-11-24T03:12:13Z/2026-11-25T03:12:13Z/' -e 's/3.1+debian/3.2/' "$DATA/result-pocl.yaml" >later.yaml
qm history add later.yaml
qm history trend --scheme w8a8 --phase decode --batch 1 --device pocl
qm history trend --scheme w8a8 --phase prefill --prompt 256 --device pocl --limit 1
qm history baseline later.yaml
qm history baseline --device pocl --last 1
qm history baseline --device pocl --driver same
# A folder: what is no result is skipped.
mkdir in
cp "$DATA/result-sets.yaml" "$QM_DATA_DIR/profiles/quick.yaml" in
qm history add --db other.sqlite in 2>&1
# What cannot be.
qm history
qm history --help
qm history tend
qm history frobnicate
qm history add
qm history add --help
qm history add missing.yaml
qm history list more
qm history trend
qm history trend --scheme w8a8 --phase both
qm history trend --scheme w8a8 --phase prefill --depth 64
qm history baseline "$DATA/result-pocl.yaml" --device pocl
qm history baseline --device nothing
qm history list --db in/quick.yaml
ls
