// finback version: what this program was built from and what it runs on.
#include <torch/version.h>

#include "base/json.h"
#include "cli/args.h"
#include "cli/build_stamp.h"
#include "cli/verbs.h"
#include "gemm/variant.h"

namespace finback {

int cmd_version(CommandLine words) {
  Args args("version [--json]",
            "Version and commit of this program, the libtorch it was built with, the kernel variant that this processor runs.",
            "finback version");
  args.toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.at_most(0);
  const Json json = {
      {"version", kVersion}, {"commit", kCommit}, {"torch", TORCH_VERSION}, {"compiler", kCompiler}, {"kernels", kernel_label()}};
  if (args.has("json")) {
    fmt::print("{}", dump_json(json));
    return 0;
  }
  fmt::print("finback {}\n", kVersion);
  for (const char* key : {"commit", "torch", "compiler", "kernels"}) fmt::print("{:<9} {}\n", key, json.at(key).get<std::string>());
  return 0;
}

}  // namespace finback
