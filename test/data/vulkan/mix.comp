#version 450
// y[i] = 3 a[i] + b[count - 1 - i] + y[i], for i < count: depends on both earlier dispatches and on the earlier repeat.
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer A { uint a[]; };
layout(std430, binding = 1) readonly buffer B { uint b[]; };
layout(std430, binding = 2) buffer Y { uint y[]; };
layout(push_constant) uniform Parameters { uint count; };
void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < count)
        y[i] = 3u * a[i] + b[count - 1u - i] + y[i];
}
