/* Replays a fuzz target's corpus: every file in the folder given, then the empty input. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_BYTES_MAX = 1 << 20 };

int main(int argc, char **argv)
{
    static uint8_t bytes[INPUT_BYTES_MAX];
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    unsigned count = 0;

    if (dir == NULL) {
        fprintf(stderr, "replay: cannot open the corpus folder\n");
        return 1;
    }
    while ((entry = readdir(dir)) != NULL) {
        char path[1024];
        FILE *file;
        size_t len;

        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        file = fopen(path, "rb");
        if (file == NULL) {
            fprintf(stderr, "replay: cannot open %s\n", path);
            return 1;
        }
        len = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        /* A heap copy of the exact size, so that sanitizers see one byte too far. */
        uint8_t *exact = malloc(len ? len : 1);
        for (size_t i = 0; i < len; i++) {
            exact[i] = bytes[i];
        }
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        count++;
    }
    closedir(dir);
    LLVMFuzzerTestOneInput(bytes, 0);
    printf("%u inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
