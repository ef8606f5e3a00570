# shellcheck shell=bash
# What `model` tells of directories, and what it refuses: exit code 2 and one line. No driver is asked, so that it is the same
# on every machine.
export QM_CACHE_DIR=$PWD/cache
export VK_DRIVER_FILES=none VK_ICD_FILENAMES=none OCL_ICD_VENDORS=none OCL_ICD_FILENAMES=none
qm model
qm model --help
qm model built-in
qm model built-in --scheme w4a16-g32-kv8,nvfp4a16 --json
qm model built-in --profile nothing
qm model built-in --scheme w8a16+nothing.*=f16
# What was measured before, and what is no such thing.
mkdir -p cache/forecasts
printf 'profile: quick\nmodel: some-model\nweights: 1000000\ndate: 2026-01-31T00:00:00Z\nseconds: 7.5\nrate: 2.5e+8\n' \
    >cache/forecasts/preparation.yaml
qm model built-in --scheme f16 | tail -n 6
printf 'rate: -1\nweights: [x' >cache/forecasts/preparation.yaml
qm model built-in --scheme f16 | tail -n 6
rm cache/forecasts/preparation.yaml

# config DIR KEYS...: a Llama of one layer of odd sizes, tied, with more keys at the end.
config() {
    mkdir -p "$1"
    printf '{"architectures":["%s"],"hidden_size":100,"intermediate_size":172,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":48,"vocab_size":300,"max_position_embeddings":131072,"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true%s}\n' \
        "$2" "${3:-}" >"$1/config.json"
}
# weights DIR: zeros of float16, which `model` does not look at.
weights() {
    local header='' offset=0 name shape count
    while read -r name shape; do
        count=$((${shape/,/*} * 2))
        header+="${header:+,}\"$name\":{\"dtype\":\"F16\",\"shape\":[$shape],\"data_offsets\":[$offset,$((offset + count))]}"
        offset=$((offset + count))
    done <<'END'
model.embed_tokens.weight 300,100
model.layers.0.input_layernorm.weight 100
model.layers.0.self_attn.q_proj.weight 96,100
model.layers.0.self_attn.k_proj.weight 48,100
model.layers.0.self_attn.v_proj.weight 48,100
model.layers.0.self_attn.o_proj.weight 100,96
model.layers.0.post_attention_layernorm.weight 100
model.layers.0.mlp.gate_proj.weight 172,100
model.layers.0.mlp.up_proj.weight 172,100
model.layers.0.mlp.down_proj.weight 100,172
model.norm.weight 100
END
    header="{$header}"
    local length=${#header}
    printf "\\x$(printf %x $((length % 256)))\\x$(printf %x $((length / 256)))\\0\\0\\0\\0\\0\\0%s" "$header" \
        >"$1/model.safetensors"
    truncate -s $((8 + length + offset)) "$1/model.safetensors"
}
config odd LlamaForCausalLM ',"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}'
weights odd
qm model odd --scheme w4a16-g32,w8a8
printf '{"model":{"type":"BPE","vocab":{"a":0,"b":2,"ab":400},"merges":["a b"]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"truncation":{"max_length":8}}' \
    >odd/tokenizer.json
config odd MistralForCausalLM ',"sliding_window":1024'
qm model odd --scheme f16

# Artifacts of it: what is not scored needs no set that is; what is calibrated needs one of its own.
qm calibrate --model odd --scheme w8a8-static
qm calibrate --model odd --scheme w4a16-g32 --sweep
qm calibrate --sweep --scheme w4a16-g32 --calib own.txt
qm calibrate --model odd --scheme w4a16-g32 --json | grep -E 'qmark cal|"(scheme|status|id)"|^exit'

# What cannot be run, and how it differs.
mkdir other
weights other
config other CohereForCausalLM ',"hidden_activation":"gelu","logit_scale":0.0625'
qm model other
config other MixtralForCausalLM ',"num_local_experts":8'
qm model other
qm run --model other
config other $'A\033[2Jb'
qm model other
config other LlamaForCausalLM ',"attention_bias":true'
qm model other
qm run --model other
config other LlamaForCausalLM ',"rope_scaling":{"rope_type":"yarn","factor":4.0}'
qm model other
config other LlamaForCausalLM ',"quantization_config":{"quant_method":"awq"}'
qm model other
# Files that are not what they should be.
qm model nowhere
config empty LlamaForCausalLM
qm model empty
printf 'GGUF\3\0\0\0' >model.gguf
qm model model.gguf
: >empty/pytorch_model.bin
qm model empty
config shape LlamaForCausalLM
weights shape
sed -i 's/"hidden_size":100/"hidden_size":104/' shape/config.json
qm model shape
config short LlamaForCausalLM
weights short
truncate -s 20000 short/model.safetensors
qm model short
qm run --model short
