# shellcheck shell=bash
# Every malformed file: exit code 2 and one line on standard error that names file, line and what would be right.
qm show
qm show missing.yaml
qm show .
qm show --bogus x
qm show --jsno x
qm show -x
qm show --json=1 x
qm show -- --json
: >empty.yaml
qm show empty.yaml
head -c 4096 "$QMARK" >binary.yaml
qm show binary.yaml
printf 'schema: 1\nname: \377\376\n' >latin.yaml
qm show latin.yaml
truncate -s 100000000 large.yaml
qm show large.yaml
head -c 3000 "$DATA/result-example.yaml" >truncated.yaml
qm show truncated.yaml
printf '{"schema": 1, "schemes": [' >truncated.json
qm show truncated.json
sed 's/^schema: 1$/schema: 1\nschema: 1/' "$DATA/result-example.yaml" >duplicate.yaml
qm show duplicate.yaml
printf 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n' >bomb.yaml
qm show bomb.yaml
printf 'schema: two\nschemes: []\n' >type.yaml
qm show type.yaml
printf 'schema: 99\nschemes: []\n' >range.yaml
qm show range.yaml
printf 'some: thing\n' >other.yaml
qm show other.yaml
sed '/^  widen: 1$/d' "$DATA/result-example.yaml" >missing_key.yaml
qm show missing_key.yaml
sed 's/rate_tokens_per_s: 1510.5/rate_tokens_per_s: 0.00/' "$DATA/result-example.yaml" >zero.yaml
qm show zero.yaml
sed 's/llvmpipe 22.3.6/llvmpipe 99/' "$DATA/result-example.yaml" >edited.yaml
qm show edited.yaml | grep CHANGED
qm run --exact-match 1.5
qm run --exact-match ninety
qm calibrate --sweep
qm calibrate --sweep --scheme w8a8,w4a16-g32
qm calibrate --sweep --scheme f16
qm calibrate --sweep --scheme w4a16-g33
qm calibrate --sweep --scheme w4a16-g32 --sizes 4,x
qm calibrate --sweep --scheme w4a16-g32 --sizes 4,4
qm calibrate --sweep --scheme w4a16-g32 --tensors
qm calibrate --sweep --scheme w4a16-g32 --out kept
qm calibrate --scheme w4a16-g32 --sizes 4
qm show "a
b.yaml"
ls
