#include "train/checkpointing.h"

#include <ATen/ATen.h>

#include "base/fields.h"
#include "base/file.h"
#include "base/status_line.h"
#include "model/checkpoint.h"
#include "train/checkpoint_format2.h"
#include "train/moments.h"
#include "train/run_folder.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kFormatVersion = 3, kOldestFormatVersion = 2;

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
                     const fs::path& tokenizer_folder, const InheritedFiles& inherited) {
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
  options.inherited = inherited;
  save_model(temporary, model, options);
  failpoint("model-saved");
  write_moments(temporary, model, optimizer, options);
  state.format_version = kFormatVersion;
  state.weights_fingerprint = model.parameters().fingerprint();
  state.moments_hash = moments_hash(model.parameters(), optimizer);
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
  FB_CHECK(version >= kOldestFormatVersion && version <= kFormatVersion,
           "{}: expected format version {} or {}, got {}. Hint: resume with the program that wrote it", path.string(), kOldestFormatVersion,
           kFormatVersion, version);
  load_fields(state, json, path.string());
  FB_CHECK(state.step == steps.back(), "{}: expected step {}, got {}", path.string(), steps.back(), state.step);
  return state;
}

void load_checkpoint(const fs::path& root, const TrainerState& state, Transformer& model, Optimizer& optimizer) {
  const fs::path folder = root / step_name(state.step);
  const bool format2 = state.format_version == 2;
  load_weights(folder, model);
  const std::string fingerprint = format2 ? format2_fingerprint(model.parameters()) : model.parameters().fingerprint();
  FB_CHECK(fingerprint == state.weights_fingerprint,
           "{}: expected weights {}, got {}. Hint: the files were changed; remove this folder to resume from an earlier one",
           folder.string(), state.weights_fingerprint, fingerprint);
  if (format2) {
    warn(fmt::format(
        "{}: format 2, read and saved as format {} from now on. The last bits of gradient norms, and the steps of a batch ramp, differ "
        "from the program that wrote it",
        folder.string(), kFormatVersion));
    read_format2_moments(folder, optimizer);
  } else {
    read_moments(folder, model.parameters(), optimizer);
  }
  const std::string hash = format2 ? format2_moments_hash(optimizer) : moments_hash(model.parameters(), optimizer);
  FB_CHECK(hash == state.moments_hash,
           "{}: expected moments {}, got {}. Hint: the files were changed; remove this folder to resume from an earlier one",
           folder.string(), state.moments_hash, hash);
}

}  // namespace finback
