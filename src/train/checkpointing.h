// step-000500/: a Hugging Face model folder plus what the trainer needs to go on exactly: trainer*.safetensors (moments, train/moments.h), trainer.json
// (position of run and data, label of the kernels, the recipe), and DONE last. All of it is written under step-000500.tmp, made durable,
// renamed, then marked; at every instant the newest folder with DONE is whole. Knows no loop.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/inherited_files.h"
#include "model/transformer.h"
#include "train/optimizer.h"

namespace finback {

// trainer.json.
struct TrainerState {
  int64_t format_version = 3;  // 2 is read too (train/checkpoint_format2.h)
  int64_t step = 0;            // optimizer steps done
  int64_t tokens = 0;          // tokens seen
  int64_t data_cursor = 0;     // the loader's state
  std::string data_fingerprint;
  std::string kernels;  // label of what ran (kernels/backend.h): bits are promised within it
  std::string device;
  std::string machine;              // label of the machine that saved it (machine_label)
  std::string weights_fingerprint;  // of the values beside this file
  std::string moments_hash;         // moments_hash(), train/moments.h
  uint64_t metrics_bytes = 0;       // metrics.jsonl is cut to this on resume: its lines up to this step's own, without its evaluation
  uint64_t events_bytes = 0;
  std::vector<std::string> fallen_back;  // sub-layers that FP8 training left, see PrecisionPlan
  std::string started;                   // UTC, of the first attempt
  Json recipe = Json::object();          // resolved
};
template <class V>
void visit_fields(TrainerState& s, V& v) {
  v("format_version", s.format_version, "version of this file");
  v("step", s.step, "optimizer steps done");
  v("tokens", s.tokens, "tokens seen");
  v("data_cursor", s.data_cursor, "rows given out by the loader");
  v("data_fingerprint", s.data_fingerprint, "of the token shards");
  v("kernels", s.kernels, "kernel variant; ref on cuda");
  v("device", s.device, "cpu | cuda");
  v("machine", s.machine, "label of the machine that saved it");
  v("weights_fingerprint", s.weights_fingerprint, "of the weights in this folder");
  v("moments_hash", s.moments_hash, "of the optimizer's moments");
  v("metrics_bytes", s.metrics_bytes, "length of metrics.jsonl");
  v("events_bytes", s.events_bytes, "length of the TensorBoard events");
  v("fallen_back", s.fallen_back, "sub-layers that fell back from fp8 to bf16");
  v("started", s.started, "UTC");
  v("recipe", s.recipe, "resolved recipe");
}

// Writes root/step-<state.step> and points `latest` at it; fills the two hashes. On an Error nothing but a removed temporary is left and
// earlier checkpoints are untouched. No-op when that step is already finished. `inherited`: of the model in train.init.
void save_checkpoint(const std::filesystem::path& root, const Transformer& model, const Optimizer& optimizer, TrainerState state,
                     const std::filesystem::path& tokenizer_folder, const InheritedFiles& inherited = {});
// trainer.json of the newest finished checkpoint; nothing when there is none.
std::optional<TrainerState> newest_checkpoint(const std::filesystem::path& root);
// Weights and moments of root/step-<state.step>, verified against the state's hashes.
void load_checkpoint(const std::filesystem::path& root, const TrainerState& state, Transformer& model, Optimizer& optimizer);

}  // namespace finback
