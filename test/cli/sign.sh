# shellcheck shell=bash
# Keys and signatures; what they hold differs each time, so only their form is shown.
digits() { sed -E 's/[0-9a-f]{64}/HASH/g; s#[A-Za-z0-9+/]{86}==#SIGNATURE#g; s#[A-Za-z0-9+/]{43}=#KEY#g'; }
cp "$DATA/result-pocl.yaml" r.yaml
qm sign --new-key key --comment "A. Reviewer" | digits
stat -c '%a %n' key
digits <key.pub
qm sign r.yaml --key key | digits
digits <r.yaml.sig
qm sign r.yaml --key key | digits
# Nothing is replaced, and no key is used that others can read.
qm sign --new-key key
qm sign --new-key other | digits
qm sign r.yaml --key other
chmod 644 key
qm sign r.yaml --key key
chmod 600 key
qm sign r.yaml --key key.pub
qm sign r.yaml --key missing
sed 's/int4/int3/' r.yaml >edited.yaml
qm sign edited.yaml --key key
qm sign
qm sign r.yaml
qm sign --key key
qm sign --new-key third r.yaml
qm sign --comment x r.yaml --key key
qm sign key --key key
ls
