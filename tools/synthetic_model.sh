# shellcheck shell=sh
# What the scripts that measure at real sizes share: a model of random weights, of about so many parameters, in Llama's
# proportions. Sourced, not run.

# synthetic_model BUILD DIRECTORY PARAMETERS: makes it, unless it is there. PARAMETERS: thousands, millions and thousand
# millions as 20k, 20M or 1G. Sets `parameters`.
synthetic_model() {
    case $3 in
    *G) parameters=$((${3%G} * 1000000000)) ;;
    *M) parameters=$((${3%M} * 1000000)) ;;
    *k) parameters=$((${3%k} * 1000)) ;;
    *) parameters=$3 ;;
    esac
    # A layer has 14.5 hidden^2 weights.
    hidden=512 vocabulary=4000
    [ "$parameters" -lt 100000000 ] || { hidden=1024 vocabulary=32000; }
    [ "$parameters" -lt 500000000 ] || hidden=2048
    of_layer=$((hidden * hidden * 29 / 2))
    layers=$(((parameters - 2 * vocabulary * hidden + of_layer - 1) / of_layer))
    [ "$layers" -gt 0 ] || layers=1
    [ ! -f "$2/config.json" ] || return 0
    "$1/qm_make_model" "$2" --hidden $hidden --layers $layers --heads $((hidden / 64)) \
        --kv-heads $((hidden / 256)) --intermediate $((hidden * 4)) --vocab $vocabulary --tied 0 \
        --shard-bytes $((parameters / 2)) --tokenizer 1
}
