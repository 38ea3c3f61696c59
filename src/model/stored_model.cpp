#include "model/stored_model.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/notice.h"
#include "base/progress.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/panel_folder.h"
#include "model/safetensors.h"
#include "model/stored_matrix.h"
#include "model/stored_quantization.h"
#include "model/weights.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

bool is_projection(const std::string& name) { return name.find("_proj") != std::string::npos && !name.ends_with(kScaleSuffix); }

// Head and projections that the absorbed algebra reads. The head comes first: it is the largest, and what is needed on its way is free again behind it.
std::vector<const LayerMatrix*> served_matrices(Transformer& model) {
  std::vector<const LayerMatrix*> matrices;
  model.for_each_weight([&](LayerMatrix& matrix) {
    if (!matrix.name.ends_with(".kv_b_proj")) matrices.push_back(&matrix);
  });
  std::rotate(matrices.begin(), matrices.end() - 1, matrices.end());
  return matrices;
}

}  // namespace

Precision stored_form(const fs::path& given) {
  const fs::path folder = find_model_folder(given);
  if (is_panel_folder(folder)) return Precision::kInt8;
  const SafetensorsFolder files(folder);
  std::map<at::ScalarType, uint64_t> bytes;
  uint64_t all = 0;
  for (const std::string& name : files.names()) {
    if (!is_projection(name)) continue;
    const TensorEntry entry = files.entry(name);
    bytes[entry.dtype] += entry.end - entry.begin, all += entry.end - entry.begin;
  }
  if (2 * bytes[at::kFloat8_e4m3fn] > all) return Precision::kFp8;
  return all > 0 && bytes[at::kBFloat16] == all ? Precision::kBf16 : Precision::kF32;
}

std::unique_ptr<Transformer> load_stored_model(const fs::path& given, Precision storage, int64_t mtp_modules) {
  FB_ASSERT(storage != Precision::kF32, "f32 weights are packed from the model's own");
  const fs::path folder = find_model_folder(given);
  if (is_panel_folder(folder)) {
    FB_CHECK(storage == Precision::kInt8, "weights: expected int8, as {} stores them in panels, got {}", folder.string(),
             precision_name(storage));
    return load_panel_model(folder, mtp_modules);
  }
  const ModelConfig config = check_model(folder);
  ModelConfig served = config;
  served.num_nextn_predict_layers = std::min(served.num_nextn_predict_layers, mtp_modules);
  auto model = std::make_unique<Transformer>(served, at::kCPU, /*trainable=*/false, /*holds_matrices=*/false);
  load_parameters(folder, config, model->parameters());
  const SafetensorsFolder files(folder);
  StoredMatrices folders(files, read_fp8_layout(folder), config);
  const std::vector<const LayerMatrix*> matrices = served_matrices(*model);
  Progress progress(fmt::format("storing weights of {} in {}", folder.string(), precision_name(storage)), double(matrices.size()),
                    "matrices");
  const auto weights = std::make_shared<StoredWeights>();
  for (const LayerMatrix* matrix : matrices) {
    // V3 section 3.3 keeps the head out of FP8.
    const Precision kept = matrix->name == "lm_head" && storage == Precision::kFp8 ? Precision::kBf16 : storage;
    const auto codes_of = [&](int64_t group, int64_t first_row, int64_t rows) {
      return folders.codes(matrix->name, group, first_row, rows, kept, matrix->transposed);
    };
    weights->emplace(
        matrix->name,
        StoredWeight({folders.groups(matrix->name), matrix->packed.n(), matrix->packed.k(), kept, matrix->transposed}, codes_of));
    progress.update(double(weights->size()));
  }
  progress.vanish();
  if (folders.requantized() > 0) {
    notice_once(fmt::format("{}: FP8 codes of {} matrices were made anew: their blocks of {}x{} do not lie in whole panels of {} rows",
                            folder.string(), folders.requantized(), read_fp8_layout(folder).block_rows,
                            read_fp8_layout(folder).block_columns, panel_width()));
  }
  model->read_stored(weights);
  return model;
}

}  // namespace finback
