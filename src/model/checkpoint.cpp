#include "model/checkpoint.h"

#include "base/error.h"
#include "base/notice.h"
#include "base/status_line.h"
#include "model/model_folder.h"
#include "model/stored_mtp.h"
#include "model/stored_quantization.h"
#include "model/transformers_class.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// transformers keeps num_nextn_predict_layers in the config that it saves, but not the layers.
void drop_absent_mtp(const fs::path& folder, ModelConfig& config) {
  if (config.num_nextn_predict_layers == 0) return;
  if (stored_mtp_modules(SafetensorsFolder(folder), config) > 0) return;
  warn(fmt::format("{}: config.json counts {} MTP module(s), the weights have none: loading without", folder.string(),
                   config.num_nextn_predict_layers));
  config.num_nextn_predict_layers = 0;
}

}  // namespace

ModelConfig check_model(const fs::path& folder) {
  ModelConfig config = load_model_config(folder);
  check_stored_quantization(folder);
  if (const std::string note = transformers_note(config, (folder / "config.json").string()); !note.empty()) warn(note);
  if (const Json dropout = config.other.value("attention_dropout", Json()); !dropout.is_null())
    notice_once(fmt::format("{}: attention_dropout {}: of training, so nothing is dropped here", (folder / "config.json").string(),
                            dump_json_line(dropout)));
  drop_absent_mtp(folder, config);
  check_weights(folder, config);
  return config;
}

std::unique_ptr<Transformer> load_model(const fs::path& given, at::Device device, bool trainable) {
  const fs::path folder = find_model_folder(given);
  const ModelConfig config = check_model(folder);  // before the memory of a model that the folder may not hold
  auto model = std::make_unique<Transformer>(config, device, trainable);
  load_parameters(folder, config, model->parameters());
  return model;
}

void load_weights(const fs::path& folder, Transformer& model) {
  const fs::path found = find_model_folder(folder);
  check_stored_quantization(found);
  load_parameters(found, model.config(), model.parameters());
}

void save_model(const fs::path& folder, const Transformer& model, const SaveOptions& options) {
  save_parameters(folder, model.config(), model.parameters(), options);
}

}  // namespace finback
