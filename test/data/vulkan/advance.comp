#version 450
// Moves the step's position on.
layout(local_size_x = 1) in;
layout(std430, binding = 0) buffer Step { uint words[]; };
layout(push_constant) uniform Parameters { uint by; };
void main()
{
    words[0] += by;
}
