// A model folder in another number format, shard by shard: memory stays at one shard and one tensor. A conversion that was cut short goes on with
// the shard it was at.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace finback {

// What a conversion did.
struct Conversion {
  ModelConfig config;
  std::string weights;                         // f32 | bf16 | fp8 | int8
  int64_t mtp_modules = 0;                     // in the weights; config may count others
  uint64_t bytes_before = 0, bytes_after = 0;  // of the tensors, scales included
  std::string fp8_remark;                      // what was done with FP8 in blocks other than 128 x 128; empty: there is none
  size_t shards = 0, kept_shards = 0;          // kept: written by an earlier, interrupted conversion
  std::vector<std::string> left_out;           // files and folders of `from` that did not come along
};

struct ConvertOptions {
  bool overwrite = false;  // replace the model that is in `to`
  std::function<std::string(const Conversion&)>
      card;  // text of README.md, made before a shard is written; without it the one of `from` comes along
};

// Re-encodes `from` (a run folder means its newest checkpoint) into `to`: weights f32 | bf16 | int8 (model/panel_folder.h) | fp8 (DeepSeek's layout: the projections of attention,
// experts and dense FFNs as E4M3 with weight_scale_inv; embedding, head, norms, router and eh_proj bf16; expert biases f32). Tensors that need
// no change are copied byte for byte, and so is every other file of the folder but weights that are not read, a trainer's state, hidden files and
// folders. config.json keeps all its keys but those that the conversion changes, and is written last. Throws Error, with `to` as it was, for tensors
// that cannot be converted and for a folder with something in it (unless overwrite, or an unfinished conversion of the same files).
Conversion convert_model(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& weights,
                         const ConvertOptions& options = {});

}  // namespace finback
