#!/bin/bash
# Runs every block of docs/HOWTO-your-model.md as it stands, with a small model of random weights as my-model.
#
#   test/run_howto.sh QMARK MAKE_MODEL FOLDER      FOLDER: emptied first
#
# Devices are those that QM_HOWTO_DEVICE names; PoCL if it is there, else the reference backend.
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
program=$(realpath -e "$1") make_model=$(realpath -e "$2") folder=$3
rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 1
export QM_DATA_DIR=$root QM_CACHE_DIR=$PWD/cache
device=${QM_HOWTO_DEVICE-}
if [ -z "$device" ]; then
    device=reference
    "$program" devices --json 2>/dev/null | grep -q '"driver": *"pocl"' && device=pocl
fi
"$make_model" my-model --hidden 64 --intermediate 128 --layers 2 --heads 2 --kv-heads 1 --head-dim 32 --vocab 512 \
    --context 512 --tokenizer 1 || exit 1
ln -s "$root/docs" docs
# A stand-in for the one beside it: the same, on one device.
cat >qmark <<END
#!/bin/sh
verb=\$1
shift
case \$verb in
run | reproduce) exec "$program" "\$verb" "\$@" --device $device </dev/null ;;
*) exec "$program" "\$verb" "\$@" </dev/null ;;
esac
END
chmod +x qmark
# Block N of the page.
block() {
    awk -v wanted="$1" '/^```sh$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside && n == wanted' \
        "$root/docs/HOWTO-your-model.md"
}
count=$(grep -c '^```sh$' "$root/docs/HOWTO-your-model.md")
echo "$count blocks on $device"
for ((number = 1; number <= count; ++number)); do
    block "$number" >block.sh
    [ -s block.sh ] || { echo "block $number is empty"; exit 1; }
    if ! bash -eu block.sh >"log.$number" 2>&1; then
        echo "block $number fails:"
        cat block.sh "log.$number"
        exit 1
    fi
    echo "block $number: $(head -n 1 block.sh | cut -c 1-100)"
done
# What the page says of them.
grep -q 'w4a16-g32-gptq' log.1 || { echo "model names no scheme"; cat log.1; exit 1; }
result=$(echo my-results/*.yaml)
for words in 'kind: examples' 'examples: 4'; do
    grep -q "$words" "$result" || { echo "$result does not say '$words'"; exit 1; }
done
if grep -E -q 'capital of France|Paris|Water boils' "$result" || grep -a -q 'capital of France' my-results/*.safetensors; then
    echo "a text is in the result"
    exit 1
fi
grep -q 'compat: llama-perplexity' my-text/*.yaml || { echo "the text was not cut as llama-perplexity does"; exit 1; }
for words in 'requests: 12' 'within_first_token: ' 'prefill_passes: '; do
    grep -q "$words" my-traffic/*.yaml || { echo "the served requests do not say '$words'"; exit 1; }
done
echo "all blocks run"
