// A model folder whose matrices are int8 panels as they are multiplied (kernels/stored_weight.h), so that serving maps them and is ready at once, and several
// processes share their memory. quantization_config is panel_quantization() (model/stored_quantization.h). A matrix of LayerMatrix::name has "NAME.panels" and
// "NAME.panel_scales", the same for every processor; embedding, norms, router and biases are as in any folder. checksums.json has XXH3 of each tensor.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "kernels/stored_weight.h"
#include "model/fp8_scales.h"
#include "model/model_config.h"
#include "model/transformer.h"

namespace finback {

constexpr const char* kChecksumsFile = "checksums.json";

// What is written of a model: its matrices, MTP modules' too, and the parameters beside them. `source` outlives this object.
class PanelWriter {
 public:
  PanelWriter(const TensorSource& source, const Fp8Layout& layout, const ModelConfig& config,
              uint64_t shard_bytes = uint64_t{4} << 30);  // a new shard beyond this
  ~PanelWriter();
  uint64_t bytes() const;  // of the tensors
  size_t shards() const;
  // Shards, index and checksums. Goes on behind shards that are there: returns their number. Memory: one matrix (all experts of a layer) as it is written,
  // and what its encoding needs. Throws Error for numbers that int8 does not hold.
  size_t write(const std::filesystem::path& to, bool goes_on);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Throws Error unless every tensor that serving with config's MTP modules reads is there in its shape; reads headers.
void check_panel_folder(const std::filesystem::path& folder, const ModelConfig& config);
// Reads every tensor and compares it with checksums.json. Throws Error with the first that differs.
void check_panel_checksums(const std::filesystem::path& folder);
// A model that serves from the mapped panels, with so many of its MTP modules. Throws Error as check_panel_folder does.
std::unique_ptr<Transformer> load_panel_model(const std::filesystem::path& folder, int64_t mtp_modules = 0);

}  // namespace finback
