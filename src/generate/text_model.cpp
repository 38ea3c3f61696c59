#include "generate/text_model.h"

#include "base/error.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"

namespace finback {

TextModel load_text_model(const std::filesystem::path& given, const GenerationConfig& generation, const TextModelOptions& options) {
  const bool f32 = options.weights == Precision::kF32;
  FB_CHECK(f32 || options.device.is_cpu(), "weights: expected f32 on a GPU, got {}", precision_name(options.weights));
  const std::filesystem::path folder = find_model_folder(given);
  TextModel model;
  if (!options.tokenizer_optional || std::filesystem::exists(folder / "tokenizer.json")) model.tokenizer.emplace(Tokenizer::load(folder));
  model.transformer = load_model(folder, options.device, /*trainable=*/false);
  if (!f32) model.transformer->store_weights(options.weights);
  model.stop_ids = stop_ids(model.transformer->config(), generation, model.tokenizer_or_null());
  return model;
}

}  // namespace finback
