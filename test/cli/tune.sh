# shellcheck shell=bash
# Tuning: its options, and what is refused: exit code 2 and one line. No driver is asked.
export QM_CACHE_DIR=$PWD/cache
export VK_DRIVER_FILES=none VK_ICD_FILENAMES=none OCL_ICD_VENDORS=none OCL_ICD_FILENAMES=none
qm tune --help
qm tune --device reference --progress none --kernel matmull
qm tune --progress none --shape 1x2
qm tune --progress none --format w4-f16 --scheme w4a16
qm tune --progress none --tier tex
qm tune --progress none --scheme f17
qm tune extra
qm run --tiles tunned
