#version 450
// out[i] = i * factor + step position, for i < count.
layout(local_size_x = 64) in;
layout(std430, binding = 0) writeonly buffer Out { uint y[]; };
layout(std140, binding = 4) uniform Step { uvec4 step_words; };
layout(push_constant) uniform Parameters { uint count, factor; };
void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < count)
        y[i] = i * factor + step_words.x;
}
