// A model folder opened for text: tokenizer, weights, and what the folder says about sampling and stopping. Knows no requests.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gemm/precision.h"
#include "generate/generation_config.h"
#include "model/transformer.h"

namespace finback {

struct TextModelOptions {
  at::Device device = at::kCPU;
  std::optional<Precision> weights;  // how the matrices are kept and read; without: as the folder stores them, on a GPU in f32
  bool tokenizer_optional = false;   // ids in, ids out, when the folder has none
  int64_t cached_tokens = 0;         // that the caller will cache at most, for the count of memory
  bool fingerprint = false;          // take the weights' fingerprint: one pass over them
  int64_t speculative_tokens = 0;    // as EngineOptions
  bool anyway = false;               // load though that count is more than the memory there is
};

struct TextModel {
  std::optional<Tokenizer> tokenizer;
  std::unique_ptr<Transformer> transformer;
  Precision weights = Precision::kF32;
  std::vector<int32_t> stop_ids;    // of the folder, whatever a request names besides
  std::string weights_fingerprint;  // Transformer::fingerprint(), where it was asked for; of int8 panels the hash of their checksums
  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};

// How the matrices of a model folder are kept: as asked, else stored_form() (model/stored_model.h), f32 on a GPU and of a folder without weights.
Precision chosen_weights(const std::filesystem::path& folder, const TextModelOptions& options);

// Throws Error for a folder that cannot be read, for weights that the device does not take, and, before it loads any, for more of them than fit in memory.
TextModel load_text_model(const std::filesystem::path& folder, const GenerationConfig& generation, const TextModelOptions& options);

}  // namespace finback
