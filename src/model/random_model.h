// A model folder of random weights, for measurements of a shape without its weights: written shard by shard, one tensor after the other, so that no more
// than a few tensors are in memory. No tokenizer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "model/conversion.h"

namespace finback {

struct RandomModel {
  std::filesystem::path config;  // a config.json, or a folder that holds one
  uint64_t seed = 1;
  uint64_t shard_bytes = uint64_t{4} << 30;  // a new shard beyond this
};
// Weights f32 | bf16 | fp8 | int8 (as convert_model lays them out) of a model that Parameters::initialize(seed, initializer_range) fills: the same numbers, rounded.
// Goes on where an earlier call of the same model stopped. Throws Error as convert_model does.
Conversion write_random_model(const RandomModel& model, const std::filesystem::path& to, const std::string& weights,
                              const ConvertOptions& options = {});

}  // namespace finback
