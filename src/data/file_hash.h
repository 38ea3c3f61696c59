// The hash of a file's bytes as stored, read in pieces: memory does not grow with the file, and the reader hears how far it is.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

namespace finback {

// The same number as hash_file of base/file.h. on_progress: bytes so far.
uint64_t hash_in_pieces(const std::filesystem::path& path, const std::function<void(uint64_t bytes)>& on_progress);

}  // namespace finback
