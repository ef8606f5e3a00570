// Exchange within a subgroup, for variants with QM_SUBGROUPS, which need the capability subgroups. Their workgroups are
// multiples of the device's subgroups, which are full and of a power of two.
//
//   QM_SUBGROUP_SIZE, QM_SUBGROUP_COUNT          invocations of a subgroup, subgroups of the workgroup
//   QM_SUBGROUP_INDEX, QM_SUBGROUP_LANE          this invocation's subgroup, and its place in it
//   QM_SUBGROUP_EXCHANGE(x, distance)            the uint x of the invocation whose place differs by the bit `distance`
//   QM_SUBGROUP_EXCHANGE_4(x, distance)          likewise of four
//
// Sums by exchange are butterflies: the same tree on the same device, and in every place the same bits, for a + b = b + a.
#ifndef QM_SUBGROUPS_H
#define QM_SUBGROUPS_H
#if defined(QM_GLSL)
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define QM_SUBGROUP_SIZE gl_SubgroupSize
#define QM_SUBGROUP_COUNT gl_NumSubgroups
#define QM_SUBGROUP_INDEX gl_SubgroupID
#define QM_SUBGROUP_LANE gl_SubgroupInvocationID
#define QM_SUBGROUP_EXCHANGE(x, distance) subgroupShuffleXor(x, distance)
#define QM_SUBGROUP_EXCHANGE_4(x, distance) subgroupShuffleXor(x, distance)
#elif defined(__OPENCL_C_VERSION__)
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#pragma OPENCL EXTENSION cl_khr_subgroup_shuffle : enable
#define QM_SUBGROUP_SIZE get_sub_group_size()
#define QM_SUBGROUP_COUNT get_num_sub_groups()
#define QM_SUBGROUP_INDEX get_sub_group_id()
#define QM_SUBGROUP_LANE get_sub_group_local_id()
#define QM_SUBGROUP_EXCHANGE(x, distance) sub_group_shuffle_xor(x, distance)
#define QM_SUBGROUP_EXCHANGE_4(x, distance)                                                                            \
    ((uint4)(sub_group_shuffle_xor((x).x, distance), sub_group_shuffle_xor((x).y, distance),                           \
             sub_group_shuffle_xor((x).z, distance), sub_group_shuffle_xor((x).w, distance)))
#endif
#endif
