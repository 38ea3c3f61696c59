#include "train/checkpoint_room.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/timer.h"
#include "cost/model_shape.h"
#include "cost/parameter_count.h"
#include "train/schedule.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

double bytes_below(const fs::path& folder) {
  double bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) bytes += double(it->file_size(error));
  }
  return bytes;
}

// Of the folder, or of the nearest one above that is there.
double free_bytes(fs::path folder) {
  folder = fs::absolute(folder);
  while (!fs::exists(folder) && folder.has_parent_path() && folder != folder.parent_path()) folder = folder.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  return error ? 1e300 : double(space.available);
}

}  // namespace

double checkpoint_bytes(const ModelConfig& shape) {
  const ParameterCount count = count_parameters(shape_of(shape));
  const double trained = double(count.total_with_mtp() - count.layers.expert_bias - count.mtp.expert_bias);
  const double copies =
      2 * double(shape.num_nextn_predict_layers) * double(count.head);  // DeepSeek's files repeat embedding and head per MTP module
  const double beside = 1e6 + 64.0 * double(shape.vocab_size);          // tokenizer, headers, states
  return 4 * (double(count.total_with_mtp()) + copies) + 8 * trained + beside;
}

int64_t checkpoints_at_once(const CheckpointSection& section, int64_t steps) {
  const int64_t made = section.every > 0 ? (steps - 1) / section.every + 1 : 1;
  if (made <= section.keep_last) return made;
  // Milestones are saved steps that are multiples of keep_every, too.
  const int64_t part = section.keep_every > 0 ? section.keep_every / std::gcd(section.every, section.keep_every) : 0;
  const int64_t milestones = part > 0 && part <= steps / section.every ? steps / section.every / part : 0;
  return std::min(made, section.keep_last + 1 + milestones);
}

void check_checkpoint_room(const TrainConfig& config, const ModelConfig& shape, const fs::path& root, OpenMode mode) {
  const int64_t steps = run_length(config.train, config.data.seq_len).steps, most = checkpoints_at_once(config.checkpoint, steps);
  const double each = checkpoint_bytes(shape), room = free_bytes(root);
  double there = 0;
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with("step-")) there += bytes_below(it->path());
  }
  if (mode == OpenMode::kNew) there = 0;
  const double needed = double(most) * each;
  FB_CHECK(needed <= room + there,
           "{}: expected room for {} checkpoints of {} at once (checkpoint.keep_last = {}, the one being written{}), got {} free. Hint: "
           "free disk "
           "space, another --run.dir, --checkpoint.keep_last=1; --anyway starts all the same",
           root.string(), most, human_bytes(each), config.checkpoint.keep_last,
           config.checkpoint.keep_every > 0 ? ", those of keep_every" : "", human_bytes(room + there));
}

}  // namespace finback
