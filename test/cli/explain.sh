# shellcheck shell=bash
qm explain
qm explain kl_divergence_mean
qm explain kl-divergence-mean
# Every metric has its text.
for metric in kl_divergence_mean kl_divergence_p99 kl_divergence_max perplexity perplexity_reference perplexity_ratio \
    top1_agreement rms_delta_p exact_match exact_match_reference exact_match_ratio; do
    qm explain $metric >text || echo "no text"
    grep -q 'exit code: 0' text || echo "$metric has no text"
done
qm explain "not measured"
qm explain perplexty
qm explain xyzzy
qm explain f32
qm explain w8a8-static-percentile-kv4
qm explain w4a16-g48
qm explain --json w4a16-g32-kv8
qm explain --json tier
qm explain one two
# Every format's name is known to be a scheme's, not only those that begin with a width.
for scheme in nvfp4a16 q4_ka16 mxfp6e2m3a16 e4m3af8 bf16; do
    qm explain $scheme
done
