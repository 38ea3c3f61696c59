// Folders and files for the tests of this folder. Test code only.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace finback::test {

// An empty folder of that name, which is unique to its test.
inline std::filesystem::path fresh(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  make_directories(folder);
  return folder;
}

// Without the fsync of a real write: some tests write hundreds of files.
inline void spill(const std::filesystem::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// The message of the Error that `act` throws, empty when it throws none.
template <class F>
std::string failure(F&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace finback::test
