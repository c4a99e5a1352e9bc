"""embed.py NAME FILE OUT: a file as bytes of C, `NAME` and `NAME_bytes`."""
import sys

name, path, out = sys.argv[1:]
data = open(path, "rb").read()
lines = [", ".join(str(b - 256 if b > 127 else b) for b in data[i:i + 20])
         for i in range(0, len(data), 20)]
with open(out, "w", encoding="ascii") as f:
    f.write(f"#include <stddef.h>\nextern const char {name}[];\nextern const size_t {name}_bytes;\n"
            f"const char {name}[] = {{\n" + ",\n".join(lines) + f"\n}};\n"
            f"const size_t {name}_bytes = sizeof {name};\n")
