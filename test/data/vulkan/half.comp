#version 450
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// Doubles a float in half precision: a module that asks for the capability Float16.
layout(local_size_x = 1) in;
layout(std430, binding = 0) buffer Y { float y[]; };
void main()
{
    float16_t x = float16_t(y[0]);
    y[0] = float(x + x);
}
