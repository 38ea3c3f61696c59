// A model as a Hugging Face folder: config.json, tokenizer files, generation_config.json, model*.safetensors with DeepSeek's names (one
// tensor an expert, MTP under layer index L + k with DeepSeek's copies of embedding and head). Reads f64, f32, bf16, f16 and DeepSeek's FP8
// (weight + weight_scale_inv, model/fp8_scales.h) into f32; memory stays bounded by one shard plus one tensor beyond the model itself. Where a
// model folder is asked for, a run folder stands for its newest checkpoint (model/model_folder.h).
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/inherited_files.h"
#include "model/transformer.h"

namespace finback {

// Loads config and weights. Missing, unknown or misshapen tensors are one Error that names the first and counts the rest. A folder whose config
// counts MTP modules but which holds no tensor of theirs (transformers saves such) loads without them and says so on stderr.
std::unique_ptr<Transformer> load_model(const std::filesystem::path& folder, at::Device device, bool trainable);
// All that load_model looks at and says on stderr before it takes memory; the config under which the folder is then read. `folder` is a model folder.
ModelConfig check_model(const std::filesystem::path& folder);
// The fingerprint (Parameters::fingerprint) of the weights in a folder that save_model wrote in f32, which keeps it in its files' metadata; none
// in other folders: load those and ask their parameters. Reads headers.
std::optional<std::string> stored_fingerprint(const std::filesystem::path& folder);
// Compares the folder's tensors with a config's by name, shape and dtype; reads headers, allocates no weight.
void check_weights(const std::filesystem::path& folder, const ModelConfig& config);
// Weights of `folder` into an existing model (same shape).
void load_weights(const std::filesystem::path& folder, Transformer& model);
// The same, below the model: values and buffers that `parameters` holds; its stamp moves. Nothing is written when the folder does not fit.
void load_parameters(const std::filesystem::path& folder, const ModelConfig& config, Parameters& parameters);

struct SaveOptions {
  std::string dtype = "f32";                 // f32 | bf16
  uint64_t shard_bytes = uint64_t{4} << 30;  // a new shard beyond this
  std::filesystem::path tokenizer_folder;    // copied beside the weights when given
  InheritedFiles inherited = {};             // of the model that this one began from
};
// Writes into `folder` (made when absent): every file under a temporary name, then renamed; config.json goes first and comes last, so a folder
// that has one is whole. f32 files carry the weights' fingerprint. Weight files of an earlier save are removed. Expert biases stay f32 in every dtype.
void save_model(const std::filesystem::path& folder, const Transformer& model, const SaveOptions& options);
void save_parameters(const std::filesystem::path& folder, const ModelConfig& config, const Parameters& parameters,
                     const SaveOptions& options);

// The weight files that save_model writes and the tensors in each: a function of shapes, dtype and shard_bytes alone.
struct WeightFile {
  std::string name;
  std::vector<std::string> tensors;
};
std::vector<WeightFile> weight_files(const ModelConfig& config, const Parameters& parameters, const SaveOptions& options);

}  // namespace finback
