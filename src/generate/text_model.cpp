#include "generate/text_model.h"

#include <algorithm>

#include "base/error.h"
#include "cost/memory_parts.h"
#include "machine/free_memory.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"

namespace finback {

namespace {

void check_room(const std::filesystem::path& folder, const TextModelOptions& options) {
  if (options.anyway || !options.device.is_cpu()) return;
  const ModelConfig config = load_model_config(folder);
  const auto parts_of = [&](Precision precision, int64_t tokens) {
    return memory_parts(config, {.trains = false, .precision = precision, .tokens = std::min(tokens, config.max_position_embeddings)});
  };
  const FreeMemory free = free_memory();
  const auto fits = [&](Precision precision, int64_t tokens) { return total_bytes(parts_of(precision, tokens)) <= free.bytes; };
  std::string hint = "a smaller model";
  if (fits(options.weights, 0)) {
    hint = "fewer tokens: --max-tokens, or --context of chat";
  } else if (fits(Precision::kF32, options.cached_tokens)) {
    hint = "--weights f32 fits, as narrower weights stand beside the f32 ones";
  }
  check_memory(parts_of(options.weights, options.cached_tokens), free.bytes, free.limit, hint + "; --anyway loads it all the same");
}

}  // namespace

TextModel load_text_model(const std::filesystem::path& given, const GenerationConfig& generation, const TextModelOptions& options) {
  const bool f32 = options.weights == Precision::kF32;
  FB_CHECK(f32 || options.device.is_cpu(), "weights: expected f32 on a GPU, got {}", precision_name(options.weights));
  const std::filesystem::path folder = find_model_folder(given);
  check_room(folder, options);
  TextModel model;
  if (!options.tokenizer_optional || std::filesystem::exists(folder / "tokenizer.json")) model.tokenizer.emplace(Tokenizer::load(folder));
  model.transformer = load_model(folder, options.device, /*trainable=*/false);
  if (!f32) model.transformer->store_weights(options.weights);
  model.stop_ids = stop_ids(model.transformer->config(), generation, model.tokenizer_or_null());
  return model;
}

}  // namespace finback
