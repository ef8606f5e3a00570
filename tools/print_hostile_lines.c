// print_hostile_lines: writes the lines of test/hostile_lines.h, so that another implementation can be asked about them.
//
//   cc -O2 -Icore -I. tools/print_hostile_lines.c core/base/random.c -o print_hostile_lines
//   ./print_hostile_lines > lines
//
// Per line: its bytes' number as little-endian uint32, then the bytes.
#include "test/hostile_lines.h"

#include <stdio.h>

int main(void)
{
    static struct hostile_line line;
    for (uint32_t i = 0; i < HOSTILE_LINES; i++) {
        hostile_line(i, &line);
        unsigned char head[4];
        for (int k = 0; k < 4; k++)
            head[k] = (unsigned char)(line.count >> (8 * k));
        if (fwrite(head, 1, 4, stdout) != 4 || fwrite(line.bytes, 1, line.count, stdout) != line.count)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
