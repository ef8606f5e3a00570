# shellcheck shell=bash
# Results from elsewhere: a right one, and lies, are in test_verify.c, which measures first.
qm verify
qm verify --help
qm verify nowhere.yaml
printf 'schema: 1\nname: no result\n' >profile.yaml
qm verify profile.yaml
# Older results lack keys, and their samples are not here. Counts of values change with every new key.
qm verify "$DATA/result-sets.yaml" | sed 's/differs in .*/differs/; s/and [0-9]* more/and more/'
qm verify --allow-absent-samples --json "$DATA/result-sets.yaml" | sed -n '3,6p; $p'
