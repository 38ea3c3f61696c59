#include "cli/output_file.h"

#include <fstream>
#include <string>

#include "base/error.h"
#include "base/output_place.h"

namespace finback {
namespace fs = std::filesystem;

void check_output(const fs::path& path, const std::vector<fs::path>& inputs, std::string_view own) {
  std::error_code ignored;
  check_file_place(path);
  for (const fs::path& input : inputs)
    FB_CHECK(!fs::equivalent(path, input, ignored), "{}: expected another file than the one that is read", path.string());
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const bool is_ours = fs::exists(folder / "config.json", ignored) || fs::exists(folder / "config.toml", ignored);
  if (!is_ours || !fs::is_regular_file(path, ignored)) return;
  std::string begin(own.size(), '\0');
  std::ifstream(path, std::ios::binary).read(begin.data(), std::streamsize(begin.size()));
  FB_CHECK(!own.empty() && begin == own, "{}: expected a new file, got one of a model or run folder. Hint: another name or folder",
           path.string());
}

}  // namespace finback
