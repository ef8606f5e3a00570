# shellcheck shell=bash
# What `reproduce` refuses before anything is run: exit code 2, one line, and nothing is written.
qm reproduce --help
qm reproduce
qm reproduce missing.yaml
qm reproduce "$DATA/result-pocl.yaml" "$DATA/result-sets.yaml"
qm reproduce --runs 0 "$DATA/result-pocl.yaml"
qm reproduce --runs 21 "$DATA/result-pocl.yaml"
qm reproduce --runs x "$DATA/result-pocl.yaml"
qm reproduce --tolerance 0.01 "$DATA/result-pocl.yaml"
qm reproduce --tolerance ten "$DATA/result-pocl.yaml"
sed 's/windows: 6$/windows: 7/' "$DATA/result-pocl.yaml" >edited.yaml
qm reproduce edited.yaml
# A profile of an older version, which lacks what decides numbers today.
qm reproduce "$DATA/result-pocl.yaml"
printf 'schema: 1\n' >other.yaml
qm reproduce other.yaml
ls
