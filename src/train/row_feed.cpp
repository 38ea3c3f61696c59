#include "train/row_feed.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace finback {
namespace {

at::Tensor tensor_of(const std::vector<int32_t>& values, at::Device device) {
  at::Tensor ids_T = at::empty({int64_t(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), ids_T.mutable_data_ptr<int64_t>());
  return ids_T.to(device);
}

LoaderOptions loader_options(const TrainConfig& config) {
  LoaderOptions options;
  for (const DataSource& source : config.data.corpora) options.corpora.push_back({source.path, source.weight});
  options.seq_len = config.data.seq_len;
  options.document_mask = config.data.document_mask;
  options.seed = uint64_t(config.run.seed);
  return options;
}

void append(PackedRows& rows, const PackedRows& more) {
  for (const int64_t start : more.starts) rows.starts.push_back(int64_t(rows.tokens.size()) + start);
  rows.tokens.insert(rows.tokens.end(), more.tokens.begin(), more.tokens.end());
  rows.targets.insert(rows.targets.end(), more.targets.begin(), more.targets.end());
  rows.positions.insert(rows.positions.end(), more.positions.begin(), more.positions.end());
  rows.rows += more.rows;
  rows.valid_targets += more.valid_targets;
  rows.target_bytes += more.target_bytes;
}

// Elements [begin, end) of a CPU i64 tensor as a JSON list.
Json list_of(const at::Tensor& ids_T, int64_t begin, int64_t end) {
  const int64_t* ids = ids_T.const_data_ptr<int64_t>();
  return Json(std::vector<int64_t>(ids + begin, ids + end));
}

}  // namespace

MicroBatch micro_batch_of(const PackedRows& rows, int64_t seq_len, at::Device device) {
  FB_ASSERT(int64_t(rows.tokens.size()) == rows.rows * seq_len, "rows of another length");
  MicroBatch micro;
  std::vector<int64_t> starts = rows.starts;
  starts.push_back(int64_t(rows.tokens.size()));
  micro.batch = packed_batch(tensor_of(rows.tokens, device), tensor_of(rows.positions, device), starts);
  micro.batch.balance_starts.clear();
  for (int64_t row = 0; row <= rows.rows; ++row) micro.batch.balance_starts.push_back(row * seq_len);
  micro.targets_T = tensor_of(rows.targets, device);
  micro.valid_targets = rows.valid_targets;
  micro.target_bytes = rows.target_bytes;
  return micro;
}

struct RowFeed::State {
  Loader loader;
  at::Device device;
  int64_t micro_rows;  // rows of a micro-batch; 0: all rows of the step
  size_t corpora;
};

RowFeed::RowFeed(const TrainConfig& config, at::Device device)
    : state_(new State{Loader(loader_options(config)), device, config.train.micro_batch_tokens / config.data.seq_len,
                       config.data.corpora.size()}) {}
RowFeed::~RowFeed() = default;

int64_t RowFeed::vocab_size() const { return state_->loader.tokenizer().vocab_size; }
std::optional<int64_t> RowFeed::bos_token_id() const { return state_->loader.tokenizer().bos_token_id; }
std::optional<int64_t> RowFeed::eos_token_id() const { return state_->loader.tokenizer().eos_token_id; }
std::filesystem::path RowFeed::tokenizer_folder() const { return state_->loader.corpus(0).folder(); }

std::vector<MicroBatch> RowFeed::next_step(int64_t tokens) {
  const int64_t seq_len = state_->loader.seq_len();
  FB_CHECK(tokens > 0 && tokens % seq_len == 0, "train.batch_tokens: expected whole rows of {} tokens, got {}", seq_len, tokens);
  std::vector<MicroBatch> micro_batches;
  for (int64_t left = tokens / seq_len; left > 0;) {
    const int64_t rows = state_->micro_rows > 0 ? std::min(left, state_->micro_rows) : left;
    micro_batches.push_back(micro_batch_of(state_->loader.next(rows), seq_len, state_->device));
    left -= rows;
  }
  return micro_batches;
}

int64_t RowFeed::cursor() const { return state_->loader.cursor(); }
std::string RowFeed::fingerprint() const { return state_->loader.fingerprint(); }

std::string RowFeed::why_older_than_corpus() const {
  std::string why;
  for (size_t i = 0; i < state_->corpora && why.empty(); ++i) why = state_->loader.corpus(i).why_older();
  return why;
}

void RowFeed::restore(int64_t cursor, const std::string& fingerprint) {
  FB_CHECK(fingerprint == this->fingerprint(),
           "data: expected the tokens that the run was trained on ({}), got others ({}). Hint: tokenize the same "
           "corpus with the same tokenizer again, or start a new run",
           fingerprint, this->fingerprint());
  state_->loader.seek(cursor);
}

int64_t RowFeed::epoch_tokens() const {
  int64_t rows = 0;
  for (size_t i = 0; i < state_->corpora; ++i) rows += state_->loader.epoch_rows(i);
  return rows * state_->loader.seq_len();
}

int64_t RowFeed::validation_rows() const { return state_->loader.validation_rows(); }

std::function<std::optional<MicroBatch>()> RowFeed::validation(int64_t tokens) const {
  // A part of the split is taken in evenly spaced rows: the first rows would be those of one source.
  const State* state = state_.get();
  const int64_t seq_len = state->loader.seq_len(), all = state->loader.validation_rows();
  const int64_t wanted = tokens > 0 ? std::min(all, std::max<int64_t>(1, tokens / seq_len)) : all;
  const int64_t micro_rows = state->micro_rows > 0 ? state->micro_rows : std::max<int64_t>(1, 2048 / seq_len);
  return [=, given = int64_t(0)]() mutable -> std::optional<MicroBatch> {
    if (given == wanted) return std::nullopt;
    PackedRows rows;
    for (const int64_t stop = std::min(wanted, given + micro_rows); given < stop; ++given) {
      append(rows, state->loader.validation_row(int64_t(static_cast<__int128>(given) * all / wanted)));
    }
    return micro_batch_of(rows, seq_len, state->device);
  };
}

RowsLog::RowsLog(const std::filesystem::path& path) : path_(path) {
  if (path.empty()) return;
  file_.open(path, std::ios::app);
  FB_CHECK(file_.good(), "--log-rows: cannot write {}. Hint: check that the folder exists and is writable", path.string());
}

void RowsLog::open() {
  if (!wanted()) return;
  file_.close();
  file_.open(path_, std::ios::trunc);
}

void RowsLog::append(int64_t step, const std::vector<MicroBatch>& micro_batches, const std::vector<RouterLog>& routes) {
  if (!wanted()) return;
  FB_ASSERT(routes.size() == micro_batches.size(), "the routes of each micro-batch");
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    const MicroBatch& micro = micro_batches[i];
    const at::Tensor tokens_T = micro.batch.tokens_T.cpu(), targets_T = micro.targets_T.cpu(), positions_T = micro.batch.positions_T.cpu();
    auto sequence = micro.batch.sequences.begin();
    for (size_t row = 0; row + 1 < micro.batch.balance_starts.size(); ++row) {
      const int64_t begin = micro.batch.balance_starts[row], end = micro.batch.balance_starts[row + 1];
      Json starts = Json::array();
      for (; sequence != micro.batch.sequences.end() && sequence->first_row < end; ++sequence)
        starts.push_back(sequence->first_row - begin);
      Json experts = Json::object();
      for (const RouterLog::Layer& seen : routes[i].layers) {
        const int64_t k = seen.topk_ids_TK.size(1);
        if (seen.topk_ids_TK.size(0) != micro.batch.tokens()) continue;
        experts[std::to_string(seen.layer)] = list_of(seen.topk_ids_TK.cpu().flatten(), begin * k, end * k);
      }
      file_ << dump_json_line(Json{{"step", step},
                                   {"tokens", list_of(tokens_T, begin, end)},
                                   {"targets", list_of(targets_T, begin, end)},
                                   {"positions", list_of(positions_T, begin, end)},
                                   {"starts", starts},
                                   {"experts", experts}})
            << '\n';
    }
  }
  file_.flush();
  FB_CHECK(file_.good(), "--log-rows: cannot write {}. Hint: free disk space", path_.string());
}

}  // namespace finback
