#include "cli/examples.h"

#include <string.h>

const struct qm_example qm_examples[] = {
    {"devices", "qmark devices", "what is here, and what each driver does of what it advertises"},
    {"devices", "qmark devices --check --telemetry", "what keeps a device from being used, and what its sensors tell"},
    {"run", "qmark run", "six schemes on every device, a few minutes each; results go to qmark-results/"},
    {"run", "qmark run --device vulkan:0 --scheme f16,w8a8,w4a16-g32-gptq --out mine",
     "one device, three schemes, into a folder of their own"},
    {"calibrate", "qmark calibrate --scheme w4a16-g32 --sweep",
     "which calibrator, and how much text it needs, ranked by what they cost"},
    {"calibrate", "qmark calibrate --profile standard --out made --tensors",
     "the artifacts of a profile, with what became of each tensor"},
    {"kernels", "qmark kernels --model 8b --rows 1,512 --out before.json",
     "products of the layers of an 8B model, kept to compare with"},
    {"kernels", "qmark kernels --kernel matvec --format w4-f16 --compare before.json",
     "one kernel again: ratios with intervals"},
    {"tune", "qmark tune --scheme w8a8,w4a16-g32 --seconds 300",
     "what five minutes find; the next call goes on with the rest"},
    {"tune", "qmark tune --kernel matvec --candidates", "one kernel, with every configuration that was tried"},
    {"model", "qmark model built-in", "what the built-in model is, and what a run of it takes here"},
    {"model", "qmark model ./my-model --scheme w8a8,w4a16-g32 --profile standard",
     "whether a directory can be run, and where it fits"},
    {"show", "qmark show qmark-results/*.yaml --points", "results as tables, every point of throughput too"},
    {"show", "qmark show qmark-results --print csv", "a line for every point, with its accuracy, for a spreadsheet"},
    {"compare", "qmark compare old.yaml new.yaml", "may they be compared, if not why, and how much faster is one"},
    {"compare", "qmark compare qmark-results --print md", "every pair of a folder, as a table for a report"},
    {"gate", "qmark gate baseline/ new.yaml --junit gate.xml", "a build against earlier runs, for a CI system"},
    {"gate", "qmark gate --device vulkan:0 --a-env VK_DRIVER_FILES=old.json --b-env VK_DRIVER_FILES=new.json",
     "two builds of a driver live, in turns"},
    {"verify", "qmark verify qmark-results/*.yaml", "every summary again from the raw samples"},
    {"verify", "qmark verify theirs.yaml --key reviewer.pub", "and whether its signature is good"},
    {"reproduce", "qmark reproduce theirs.yaml", "does what somebody published hold on this card"},
    {"reproduce", "qmark reproduce theirs.yaml --device vulkan:0 --relative --quick",
     "on another device: only gains over the baseline, without sustained runs"},
    {"audit", "qmark audit profiles/claims/press-int8.yaml", "what a press claim leaves out, and what it is worth"},
    {"audit", "qmark audit claim.yaml --against mine.yaml --scheme w8a8", "its numbers beside those of your own run"},
    {"history", "qmark history add qmark-results", "keep all results of a folder"},
    {"history", "qmark history trend --scheme w8a8 --phase decode", "a rate over time, and what changed in between"},
    {"history add", "qmark history add qmark-results", "keep all results of a folder"},
    {"history add", "qmark history add nightly.yaml --db nightly.sqlite", "into a database of your own"},
    {"history list", "qmark history list --limit 5", "the newest five, accuracy beside speed"},
    {"history list", "qmark history list --device llvmpipe --json", "those of one device, for a program"},
    {"history trend", "qmark history trend --scheme w8a8 --phase decode --batch 1 --depth 64", "one point over time"},
    {"history trend", "qmark history trend --scheme w4a16-g32 --phase prefill --limit 0", "all there is of another"},
    {"history baseline", "qmark history baseline new.yaml", "the earlier runs that a gate would take"},
    {"history baseline", "qmark history baseline --device llvmpipe --last 10", "those of the newest run of a device"},
    {"report", "qmark report qmark-results -o report.html", "all results of a folder as one page to open or publish"},
    {"report", "qmark report mine.yaml --only trade -o trade.svg", "one picture as a file, its caption inside"},
    {"claim", "qmark claim mine.yaml --format markdown", "a statement to publish, every number with its interval"},
    {"claim", "qmark claim mine.yaml --scheme w8a8 --format yaml", "one scheme, as a claim that 'qmark audit' reads"},
    {"sign", "qmark sign --new-key my-key --comment 'Test lab'", "make a pair of keys, once"},
    {"sign", "qmark sign mine.yaml --key my-key", "vouch for a result: writes mine.yaml.sig"},
    {"explain", "qmark explain kl_divergence_mean", "what a metric means, and where its bound comes from"},
    {"explain", "qmark explain w4a16-g32-kv8", "a scheme, part by part"},
    {"help", "qmark help run", "the options of a verb"},
    {"help", "qmark help compare", "and of another"},
    {0},
};

size_t qm_examples_of(const char *verb, const struct qm_example *out[QM_EXAMPLES_SHOWN])
{
    size_t count = 0;
    for (const struct qm_example *example = qm_examples; example->verb && count < QM_EXAMPLES_SHOWN; example++)
        if (strcmp(example->verb, verb) == 0)
            out[count++] = example;
    return count;
}
