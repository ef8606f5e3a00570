# shellcheck shell=bash
# What `run` refuses before it looks at a device: exit code 2, one line, and nothing is written.
qm run --widen 0
qm run --widen 12
qm run --widen 128
qm run --widen x
qm run --widen -2
qm run --fit --widen 16
qm run --tier fast
qm run --fit=yes
cat >wide.yaml <<'END'
extends: quick
schema: 1
name: wide
widen: 8
END
qm run --profile wide.yaml --fit
sed 's/^widen: 8/widen: 3/' wide.yaml >odd.yaml
qm run --profile odd.yaml
sed 's/^widen: 8/widen: 128/' wide.yaml >far.yaml
qm run --profile far.yaml
sed 's/^widen: 8/widen: fits/' wide.yaml >word.yaml
qm run --profile word.yaml
# Caches that there are not.
qm run --scheme w8a16-kv8s
qm run --scheme w8a16-kv5
qm run --scheme w8a16-kve4m3s-first0
qm run --scheme w8a16-kve4m3s-first1000000
ls
# Sets and schemes that cannot be right.
cat >base.yaml <<'PROFILE'
extends: quick
schema: 1
name: sets
PROFILE
profile() { { cat base.yaml; printf '%s\n' "$1"; } >"$2"; }
profile 'calibration: {windows: 0}' empty.yaml
qm run --profile empty.yaml
profile 'calibration: {window_tokens: 64}' short.yaml
qm run --profile short.yaml
profile 'calibration: {set: built-in-evaluation, seed: 31926937667174403}' overlap.yaml
qm run --profile overlap.yaml
profile 'evaluation: {set: built-in-evaluation}' set.yaml
qm run --profile set.yaml
for scheme in w4a16-g48 w4a4 w8a16-kv3 w8a16-kve4m2 f33 w8a8-gptq-static w4a16-g32-entropy w8a16+lm_head=q9 \
    'w8a16+nothing.*=f16' w8a16-first9999999; do
    qm run --scheme "$scheme"
done
# Going on with what is not there, and progress in no form.
qm run --resume
qm run --progress loud
