# shellcheck shell=bash
qm explain
qm explain kl_divergence_mean
qm explain kl-divergence-mean
qm explain perplexty
qm explain xyzzy
qm explain f32
qm explain w8a8-static-percentile-kv4
qm explain w4a16-g48
qm explain --json w4a16-g32-kv8
qm explain --json tier
qm explain one two
