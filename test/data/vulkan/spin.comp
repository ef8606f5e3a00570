#version 450
// Busy for a time that grows with `trips` (below 65,535, where lavapipe ends loops).
layout(local_size_x = 64) in;
layout(std430, binding = 0) buffer Y { uint y[]; };
layout(push_constant) uniform Parameters { uint trips; };
void main()
{
    uint i = gl_GlobalInvocationID.x;
    uint x = y[i] + i;
    for (uint t = 0u; t < trips; t++)
        x = x * 1664525u + 1013904223u;
    y[i] = x;
}
