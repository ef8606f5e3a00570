# shellcheck shell=bash
# What model files say of their own quantization: 'qmark audit' and 'qmark claim' of a GGUF file and of directories.
le() { # le VALUE BYTES: little-endian
    local value=$1
    for ((i = 0; i < $2; i++)); do
        # shellcheck disable=SC2059 # the format is made here
        printf "\\x$(printf %02x $((value & 255)))"
        value=$((value >> 8))
    done
}
text() { le ${#1} 8 && printf %s "$1"; }
key_text() { text "$1" && le 8 4 && text "$2"; }
key_u32() { text "$1" && le 4 4 && le "$2" 4; }
key_i32() { text "$1" && le 5 4 && le "$2" 4; }
tensor() { # tensor NAME TYPE OFFSET WIDTH [ROWS]
    text "$1" && le $(($# - 3)) 4 && le "$4" 8
    [ $# -lt 5 ] || le "$5" 8
    le "$2" 4 && le "$3" 8
}
gguf() { # gguf FILE TENSORS VALUES DATA_BYTES: the head's rest from standard input
    { printf GGUF && le 3 4 && le "$2" 8 && le "$3" 8 && cat; } >"$1"
    local bytes
    bytes=$(stat -c %s "$1")
    head -c $(((32 - bytes % 32) % 32 + $4)) /dev/zero >>"$1"
}

{
    key_text general.architecture llama
    key_text general.name 'Tiny 1'
    key_text general.license mit
    key_u32 general.file_type 15
    key_u32 general.quantization_version 2
    key_text general.base_model.0.name 'Tiny base'
    key_text general.base_model.0.repo_url https://example.org/tiny
    key_text quantize.imatrix.file tiny.imatrix
    key_text quantize.imatrix.dataset calibration.txt
    key_i32 quantize.imatrix.entries_count 2
    key_i32 quantize.imatrix.chunks_count 128
    tensor token_embd.weight 14 0 256 2
    tensor blk.0.attn_norm.weight 0 448 256
    tensor blk.0.attn_q.weight 12 1472 256 2
    tensor blk.1.attn_norm.weight 0 1760 256
    tensor blk.1.attn_q.weight 17 2784 256 2
} | gguf tiny.gguf 5 11 2944
qm audit tiny.gguf
qm claim tiny.gguf --format yaml
qm claim tiny.gguf
qm audit tiny.gguf --format json | sed -n '/"files": {/,/^        }/p;/"classes"/,/]/p'
qm claim tiny.gguf --scheme w8a8

# What it does not say of itself stands there by name, and nothing is guessed.
{
    key_text general.architecture llama
    tensor blk.0.attn_q.weight 2 0 32
} | gguf bare.gguf 1 1 18
qm audit bare.gguf | sed -n '1,20p'

mkdir gptq
cat >gptq/config.json <<'JSON'
{"architectures": ["LlamaForCausalLM"], "_name_or_path": "example/tiny", "torch_dtype": "float16",
 "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": true, "desc_act": true,
 "damp_percent": 0.01, "dataset": "c4", "model_seqlen": 2048, "checkpoint_format": "gptq", "lm_head": false,
 "meta": {"quantizer": ["gptqmodel:1.4.0"], "mse": 0.0}}}
JSON
printf -- '---\nlicense: apache-2.0\nbase_model: example/tiny-1\n---\n# Tiny\n' >gptq/README.md
header='{"model.layers.0.mlp.up_proj.g_idx":{"dtype":"I32","shape":[128],"data_offsets":[0,512]},'
header+='"model.layers.0.mlp.up_proj.qweight":{"dtype":"I32","shape":[16,8],"data_offsets":[512,1024]},'
header+='"model.layers.0.mlp.up_proj.qzeros":{"dtype":"I32","shape":[1,1],"data_offsets":[1024,1028]},'
header+='"model.layers.0.mlp.up_proj.scales":{"dtype":"F16","shape":[1,8],"data_offsets":[1028,1044]},'
header+='"model.norm.weight":{"dtype":"F16","shape":[128],"data_offsets":[1044,1300]}}'
{ le ${#header} 8 && printf %s "$header" && head -c 1300 /dev/zero; } >gptq/model.safetensors
qm audit gptq

mkdir packed
cat >packed/config.json <<'JSON'
{"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "compressed-tensors",
 "format": "int-quantized", "version": "0.9.2", "ignore": ["lm_head"], "kv_cache_scheme": null, "config_groups": {"group_0":
 {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false},
 "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true}}}}}
JSON
qm audit packed | sed -n '/^precision/,/^accuracy/p'

mkdir unknown
echo '{"quantization_config": {"quant_method": "a method of tomorrow", "knob": 7}}' >unknown/config.json
qm audit unknown | sed -n '/^precision/p;/^calibration method/,/^accuracy/p'

# Bad input.
head -c 200 tiny.gguf >cut.gguf
printf 'no such thing' >other.gguf
printf GGUF >short.gguf
mkdir empty list
echo '{"quantization_config": [4]}' >list/config.json
for file in cut.gguf other.gguf short.gguf empty list gptq/model.safetensors missing.gguf; do
    qm audit "$file"
done
: | gguf nothing.gguf 0 0 0
qm audit nothing.gguf
qm claim cut.gguf
