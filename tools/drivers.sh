# The software drivers that tests and checks run over. Sourced by POSIX sh after tools/prepare.sh.
# shellcheck shell=sh disable=SC2154 # `found` is set by prepare.sh's first_file

# The drivers that the tests run over, all on the processor, so that every machine tests the same. What was learnt:
# - VK_DRIVER_FILES replaces the loader's search; loaders before 1.3.207 know only VK_ICD_FILENAMES. Both are set.
# - The order of Vulkan's devices is not that of the manifests (SwiftShader comes first although named second, and
#   Mesa's device-select layer sorts again unless NODEVICE_SELECT is set): tests choose by name, never by index.
# - SwiftShader's manifest has the library path "./libvk_swiftshader.so", which the loader takes from the manifest's
#   own folder: the manifest works where it lies and cannot be copied. It is in chromium-common; the browser itself,
#   with half a desktop behind it, is not needed.
# - /etc/OpenCL/vendors also has Clover (mesa.icd), a platform without a device here, and so is rusticl unless
#   RUSTICL_ENABLE names a Gallium driver. OCL_ICD_VENDORS is one folder, so the entries wanted are copied into one.
# - PoCL and Mesa keep compiled kernels in the home folder: kept in the build folder instead, so that a test sees no
#   other run's cache and a user without a home can run it.
# - XDG_RUNTIME_DIR may be unset; Vulkan's loader complains of it on stderr once a window system is asked for.
vulkan_manifest() { # vulkan_manifest NAME: sets `found`
    case $1 in
    lavapipe) first_file /usr/share/vulkan/icd.d/lvp_icd.*json /etc/vulkan/icd.d/lvp_icd.*json ;;
    swiftshader) first_file /usr/lib/chromium/vk_swiftshader_icd.json /usr/lib*/chromium*/vk_swiftshader_icd.json ;;
    esac
}

use_drivers() { # use_drivers FOLDER CACHE NAME...: sets the environment; absent ones are left out and printed
    vendors=$1/opencl-vendors
    rm -rf "$vendors"
    mkdir -p "$vendors" "$2" # PoCL takes minutes to compile what is not in the cache
    export POCL_CACHE_DIR="$2/pocl" MESA_SHADER_CACHE_DIR="$2"
    export NODEVICE_SELECT=1 RUSTICL_ENABLE=llvmpipe
    shift 2
    QM_TEST_DRIVERS=
    manifests=
    for driver in "$@"; do
        case $driver in
        reference) ;;
        lavapipe | swiftshader)
            vulkan_manifest "$driver" || { echo "$driver: not installed"; continue; }
            manifests=${manifests:+$manifests:}$found
            ;;
        pocl | rusticl)
            cp "/etc/OpenCL/vendors/$driver.icd" "$vendors" 2>/dev/null || { echo "$driver: not installed"; continue; }
            ;;
        esac
        QM_TEST_DRIVERS="${QM_TEST_DRIVERS:+$QM_TEST_DRIVERS }$driver"
    done
    export QM_TEST_DRIVERS
    export VK_DRIVER_FILES="$manifests" VK_ICD_FILENAMES="$manifests" OCL_ICD_VENDORS="$vendors"
}
