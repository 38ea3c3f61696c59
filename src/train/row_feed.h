// From the loader's packed rows (plain integers) to the model's batches (tensors on its device): training rows in the loader's global
// order, cut into micro-batches, and the validation rows in file order. The position is the loader's cursor and nothing else.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "train/train_config.h"
#include "train/training_step.h"

namespace finback {

// Copies rows into tensors. Sequences are the rows' documents; the balance loss counts rows. See Batch.
MicroBatch micro_batch_of(const PackedRows& rows, int64_t seq_len, at::Device device);

class RowFeed {
 public:
  // Opens the corpora; throws Error for missing or damaged shards.
  RowFeed(const TrainConfig& config, at::Device device);
  ~RowFeed();
  RowFeed(const RowFeed&) = delete;

  int64_t vocab_size() const;
  std::optional<int64_t> bos_token_id() const;
  std::optional<int64_t> eos_token_id() const;
  std::filesystem::path tokenizer_folder() const;

  // The next `tokens` tokens (whole rows), in micro-batches of train.micro_batch_tokens.
  std::vector<MicroBatch> next_step(int64_t tokens);
  int64_t cursor() const;
  std::string fingerprint() const;
  // What is wrong with the first tokens that are older than their corpus; empty: nothing.
  std::string why_older_than_corpus() const;
  // Goes to a saved position; throws Error when the data is not the same.
  void restore(int64_t cursor, const std::string& fingerprint);

  // Of one pass over all corpora's training splits.
  int64_t epoch_tokens() const;

  int64_t validation_rows() const;
  // A pass over the first corpus's validation split, `tokens` of it (0: all).
  std::function<std::optional<MicroBatch>()> validation(int64_t tokens) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// --log-rows: one JSON line a row trained on, for replaying a run elsewhere: {"step", "tokens", "targets", "positions", "starts",
// "experts": {layer: [the experts chosen for each token, num_experts_per_tok of them, one token after another]}}.
class RowsLog {
 public:
  // An empty path writes nothing. Throws Error for a path that cannot be written, and leaves what is there as it is.
  explicit RowsLog(const std::filesystem::path& path);
  // Begins the file anew.
  void open();
  bool wanted() const { return !path_.empty(); }
  // routes: what accumulate_gradients reports of these micro-batches. MTP layers are left out: their rows are others.
  void append(int64_t step, const std::vector<MicroBatch>& micro_batches, const std::vector<RouterLog>& routes);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace finback
