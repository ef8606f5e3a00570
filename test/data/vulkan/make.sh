#!/bin/sh
# Compiles the kernels of test_vulkan.c into kernels.h; run it after changing one.
set -eu
cd "$(dirname "$0")"
{
    echo "// clang-format off"
    echo "// Made by make.sh from the .comp files beside it."
    for name in fill mix advance spin half; do
        echo "static const uint32_t spirv_${name}[] = {"
        glslc --target-env=vulkan1.1 -O -mfmt=num "$name.comp" -o -
        echo "};"
    done
} > kernels.h
