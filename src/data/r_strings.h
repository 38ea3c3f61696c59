// Texts in an R package's lazy-load database (Rdata.rdb): blocks of a 4-byte big-endian length and a zlib stream, each an XDR serialisation of
// one object. Only vectors of strings are read, one string a line of text; other objects are skipped.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace finback {

// The strings of each vector joined by newlines, in file order. Throws Error for a damaged or foreign file.
std::vector<std::string> read_r_strings(const std::filesystem::path& path);

}  // namespace finback
