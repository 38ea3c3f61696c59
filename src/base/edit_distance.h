// How many slips of the fingers lie between two words.
#pragma once
#include <cstddef>
#include <string>

namespace finback {

// Insertions, deletions, substitutions and swaps of neighbours, one each: a swap is the commonest slip.
size_t edit_distance(const std::string& a, const std::string& b);

}  // namespace finback
