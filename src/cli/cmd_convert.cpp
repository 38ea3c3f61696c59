// finback convert: a model folder in another number format.
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "model/checkpoint.h"

namespace finback {
namespace {

uint64_t weight_bytes(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    if (item.path().extension() == ".safetensors") bytes += item.file_size();
  }
  return bytes;
}

}  // namespace

int cmd_convert(Words words) {
  Args args(
      "convert MODEL --dtype f32|bf16|fp8 --out DIR [--json]",
      "Re-encodes a model folder, shard by shard, into another folder. fp8 is DeepSeek's layout: E4M3 projections with one f32 scale per\n"
      "128x128 block (weight_scale_inv), the rest bf16. Reading is the same for every dtype; memory stays at one shard and one tensor.",
      "finback convert runs/quickstart/latest --dtype bf16 --out runs/quickstart/bf16");
  args.flag("dtype", "NAME", "f32, bf16 or fp8").flag("out", "DIR", "the folder to write").toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  const std::filesystem::path from = args.required(0, "the model folder to read");
  args.at_most(1);
  if (!args.has("dtype") || !args.has("out")) throw UsageError("convert expects --dtype and --out. Hint: finback convert --help");
  const std::filesystem::path to = *args.get("out");
  const std::string dtype = *args.get("dtype");
  convert_model(from, to, dtype);
  const uint64_t before = weight_bytes(from), after = weight_bytes(to);
  if (args.has("json")) {
    fmt::print(
        "{}",
        dump_json({{"from", from.string()}, {"to", to.string()}, {"dtype", dtype}, {"bytes_before", before}, {"bytes_after", after}}));
  } else {
    fmt::print("{}: {} as {}, from {}\n", to.string(), human_bytes(double(after)), dtype, human_bytes(double(before)));
  }
  return 0;
}

}  // namespace finback
