# shellcheck shell=bash
qm explain
qm explain kl_divergence_mean
qm explain kl-divergence-mean
# Every metric has its text.
for metric in kl_divergence_mean kl_divergence_p99 kl_divergence_max perplexity perplexity_reference perplexity_ratio \
    top1_agreement rms_delta_p exact_match exact_match_reference exact_match_ratio \
    kl_divergence_p50 kl_divergence_p90 kl_divergence_p95 kl_divergence_p99.9 kl_divergence_over_0.01 \
    kl_divergence_over_0.1 kl_divergence_over_1 log_likelihood_correlation source_kl source_kl_difference \
    calibration_error overconfidence overconfidence_difference greedy_identical greedy_first_difference sets_spread \
    sets_expected non-inferiority; do
    qm explain $metric >text || echo "no text"
    grep -q 'exit code: 0' text || echo "$metric has no text"
done
qm explain "not measured"
# What the gate says, as it says it, and the words of sustained runs.
for word in PASS REGRESSED INCONCLUSIVE "NOT COMPARABLE" WRONG; do
    qm explain "$word"
done
for word in sustained burst steady "noise floor" latency-bounded "time to first token" time_to_first_token_ms detectable; do
    qm explain "$word" | grep -c 'exit code: 0'
done
qm explain perplexty
qm explain xyzzy
qm explain f32
qm explain w8a8-static-percentile-kv4
qm explain w4a16-g48
qm explain --json w4a16-g32-kv8
qm explain --json tier
qm explain one two
# A cache in FP8 as it comes, and with scales from calibration; which formats take none.
qm explain w8a16-kve4m3
qm explain w8a16-kve4m3s-first4
qm explain w8a8-static-percentile-kve5m2s
qm explain w8a16-kv8s
qm explain w8a16-kv5
qm explain w8a16-kv8-first1000000
# Every format's name is known to be a scheme's, not only those that begin with a width.
for scheme in nvfp4a16 q4_ka16 mxfp6e2m3a16 e4m3af8 bf16; do
    qm explain $scheme
done
qm explain file
qm explain filea16-kv8
qm explain filea8
