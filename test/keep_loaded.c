// Linked into what is built with the address sanitizer, in place of the C library's function: a driver that has been
// unloaded by the time leaks are looked for is "<unknown module>" in the report, which no line of lsan.supp can name.
int dlclose(void *library);

int dlclose(void *library)
{
    (void)library;
    return 0;
}
