#include "train/checkpointing.h"

#include <ATen/ATen.h>

#include "base/fields.h"
#include "base/file.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "train/run_folder.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kFormatVersion = 2;

std::string hash_of(const at::Tensor& first_P, const at::Tensor& second_P) {
  uint64_t hash = 0;
  for (const at::Tensor& flat_P : {first_P, second_P}) {
    const at::Tensor cpu_P = flat_P.to(at::kCPU).contiguous();
    hash = xxhash64(std::span(static_cast<const std::byte*>(cpu_P.const_data_ptr()), size_t(cpu_P.nbytes())), hash);
  }
  return fmt::format("{:016x}", hash);
}

void write_moments(const fs::path& path, const Optimizer& optimizer) {
  const uint64_t bytes = uint64_t(optimizer.m_P().nbytes());
  const std::vector<int64_t> shape = {optimizer.m_P().numel()};
  std::vector<TensorEntry> entries = {{"m", at::kFloat, shape, 0, bytes}, {"v", at::kFloat, shape, bytes, 2 * bytes}};
  SafetensorsWriter writer(path, entries, {{"format", "finback-trainer"}});
  writer.write(optimizer.m_P().to(at::kCPU));
  writer.write(optimizer.v_P().to(at::kCPU));
  writer.commit();
}

void read_moment(const SafetensorsFile& file, const std::string& name, const fs::path& path, const at::Tensor& out_P) {
  const at::Tensor stored_P = file.tensor(name);
  FB_CHECK(stored_P.scalar_type() == at::kFloat && stored_P.numel() == out_P.numel(), "{}: expected {} f32 values in \"{}\", got {}",
           path.string(), out_P.numel(), name, stored_P.numel());
  out_P.copy_(stored_P.view({-1}));
}

// Removes a half-written folder when writing it throws.
struct RemoveUnlessKept {
  fs::path path;
  bool kept = false;
  ~RemoveUnlessKept() {
    std::error_code ignored;
    if (!kept) fs::remove_all(path, ignored);
  }
};

}  // namespace

void save_checkpoint(const fs::path& root, const Transformer& model, const Optimizer& optimizer, TrainerState state,
                     const fs::path& tokenizer_folder) {
  const fs::path folder = root / step_name(state.step);
  if (fs::exists(folder / "DONE")) return;
  fs::path temporary = folder;
  temporary += ".tmp";
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  fs::remove_all(folder, ignored);
  make_directories(temporary);
  RemoveUnlessKept guard{temporary};
  failpoint("checkpoint-begun");
  SaveOptions options;
  options.tokenizer_folder = tokenizer_folder;
  save_model(temporary, model, options);
  failpoint("model-saved");
  write_moments(temporary / "trainer.safetensors", optimizer);
  state.format_version = kFormatVersion;
  state.weights_fingerprint = model.parameters().fingerprint();
  state.moments_hash = hash_of(optimizer.m_P(), optimizer.v_P());
  write_file_atomic(temporary / "trainer.json", dump_json(dump_fields(state)));
  sync_directory(temporary);
  failpoint("checkpoint-written");
  fs::rename(temporary, folder, ignored);
  FB_CHECK(!ignored, "{}: cannot rename to {}: {}", temporary.string(), folder.string(), ignored.message());
  guard.path = folder;
  sync_directory(root);
  failpoint("before-done");
  write_file_atomic(folder / "DONE", fmt::format("step {}\n", state.step));
  guard.kept = true;
  failpoint("after-done");
  point_latest(root, state.step);
}

std::optional<TrainerState> newest_checkpoint(const fs::path& root) {
  const std::vector<int64_t> steps = finished_steps(root);
  if (steps.empty()) return std::nullopt;
  const fs::path path = root / step_name(steps.back()) / "trainer.json";
  TrainerState state;
  const Json json = read_json(path);
  const int64_t version = json_integer(json, "format_version", path.string(), 0, 1 << 20);
  FB_CHECK(version == kFormatVersion, "{}: expected format version {}, got {}. Hint: resume with the program that wrote it", path.string(),
           kFormatVersion, version);
  load_fields(state, json, path.string());
  FB_CHECK(state.step == steps.back(), "{}: expected step {}, got {}", path.string(), steps.back(), state.step);
  return state;
}

void load_checkpoint(const fs::path& root, const TrainerState& state, Transformer& model, Optimizer& optimizer) {
  const fs::path folder = root / step_name(state.step);
  load_weights(folder, model);
  const std::string fingerprint = model.parameters().fingerprint();
  FB_CHECK(fingerprint == state.weights_fingerprint,
           "{}: expected weights {}, got {}. Hint: the files were changed; remove this folder to resume from an earlier one",
           folder.string(), state.weights_fingerprint, fingerprint);
  const fs::path path = folder / "trainer.safetensors";
  const SafetensorsFile file(path);
  read_moment(file, "m", path, optimizer.m_P());
  read_moment(file, "v", path, optimizer.v_P());
  const std::string hash = hash_of(optimizer.m_P(), optimizer.v_P());
  FB_CHECK(hash == state.moments_hash,
           "{}: expected moments {}, got {}. Hint: the file was changed; remove this folder to resume from an earlier one", path.string(),
           state.moments_hash, hash);
}

}  // namespace finback
