// The worker: a process that owns one device and does what the parent asks, line by line, so that a driver that
// crashes, hangs or loses the device costs its own rows only.
//
// A request is one line of JSON, {"do": VERB, ...}; the answer is one line, {"status": "ok", ...} or {"status": NAME,
// "error": TEXT, "place": "file:line"}. Verbs and their members:
//   list     api -> devices [..], without opening one
//   open     device ("vulkan:0"), debug, statistics, cache (directory or null), attempt (0; more: it was lost so often)
//            -> info (as qm_device_info, see device_node.h)
//   selftest -> capabilities, ..., as qm_selftest_node has them
//   engine   artifact (path; for the configuration), widen, rows, sequences, slots, limit_ns, most_dispatches,
//            context (positions that passes will use; 0: the model's)
//            `narrow`: true makes a second engine beside the first, not widened and with its kernels
//   load     scheme, artifact (path), narrow -> weight_bytes, cache_bytes, variants [..]
//   fit      rows, sequences, slots, context, most, schemes [{scheme, artifact} ..], passes [{batch, tokens} ..]
//            -> widen (the largest up to `most` that fits), bytes, reason (why not twice as much); see fit.h
//   random   scheme, artifact (path) -> rows, columns, bytes, products, has_device_time, tiled_ns [..], random_ns [..];
//            see model/random_weight.h
//   sweep    of kernels alone (`qmark kernels`), by `step`:
//            item: as struct qm_kernel_item -> as struct qm_kernel_row; it is kept until the next one
//            time: ns, most -> samples_ns [..], batch, device_time: of that item
//            drop: of that item
//   kernels  only (prefix of variant names), rows (of prefill), quick, time_ns -> reports [..]
//   ceilings budget_ns -> ceilings, as qm_ceilings_node has them
//   tokens   split seed first count length base: generates windows and puts them into sequences base..base+count-1
//   run      scheme, narrow, batch, tokens, position, sequence, repeats, logits (path or null)
//            -> device_ns [..] (absent without device time), wall_ns, repeat_wall_ns [..], checksums [text ..],
//               submissions. With `logits` the passes are run one at a time and each one's logits [batch * tokens]
//               [vocabulary], then its log-probabilities [batch * tokens], are appended to the file.
//            With `blocks` N (and no logits) the same passes are run N times over, from the same position:
//            -> block_begin_ns [..] (the host's clock), block_wall_ns [..], block_device_ns [..], checksums of all passes
//   generate scheme, tokens [[..] ..] of one length, position, steps -> ids [[..] ..]: as qm_generate (generate.h), in
//            sequences 0 and up. `tokens` again before a `run` that is to find its own there
//   requests prompts [..], outputs [..] (tokens of each), concurrency, chunk, rows, stream [..], begins [..]: what `serve`
//            serves, as server.h has it
//   serve    scheme, checked or times (path): all requests once -> passes, tokens, checksums, each as text; `checked`: kl [..]
//            as qm_server_check; else pass_ns (in passes), and struct qm_request_times of each request is appended to the file. In sequences 0 and up
//   likelihood scheme, tokens [[..] ..] of one length, first [..] -> log_probabilities [..]: as qm_generate_weigh
//   probe    -> begin_ns (the host's clock), wall_ns: see clock_probe.h
//   clock    -> host_ns, device_ns; unsupported without a device clock
//   memory   -> buffers_bytes, peak_bytes, compile_ns, compiled (kernels), log_count
//   quit
// Decode is a `run` with tokens = 1 (the position moves), prefill one with more (the sequence moves).
#ifndef QM_BENCH_WORKER_H
#define QM_BENCH_WORKER_H

#include <stdint.h>

// While a request is served the worker says each second on what it works:
//   {"status": "alive", "at": "kernel matvec-w8-a8, rows 1, n 512, k 256"}
// A request's `serial` stands in its answer, too. Tests plant faults: worker_fault.h.
#define QM_WORKER_SIGN_S 1.0

// Serves until standard input ends or `quit`; returns the process's exit code. `parent` is the process that this one ends
// with, 0: none.
int qm_worker_main(uint32_t parent);

#endif
