#include "cli/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// An output takes the place of nothing that a user needs.
TEST(Outputs, LeaveInputsAndRunsAlone) {
  const fs::path root = fs::temp_directory_path() / ("finback-outputs-" + std::to_string(::getpid()));
  fs::create_directories(root / "model");
  for (const char* name : {"ids.json", "model/config.json", "model/model.safetensors"}) write_file_atomic(root / name, "{}");
  write_file_atomic(root / "model" / "curves.svg", "<svg>");
  fs::create_directory_symlink("model", root / "latest");
  fs::create_symlink("ids.json", root / "link.json");
  EXPECT_THROW(check_output(root / "ids.json", {root / "link.json"}), Error);
  EXPECT_THROW(check_output(root / "model" / "model.safetensors", {}), Error);
  EXPECT_THROW(check_output(root / "model" / "config.json", {}, "<svg"), Error);
  EXPECT_THROW(check_output(root / "latest", {}), Error);
  for (const fs::path& fine : {root / "new.json", root / "model" / "new.svg", root / "model" / "curves.svg"})
    check_output(fine, {root / "ids.json"}, "<svg");
  fs::remove_all(root);
}

}  // namespace
}  // namespace finback
