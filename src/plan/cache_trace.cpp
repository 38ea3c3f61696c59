#include "plan/cache_trace.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/file.h"
#include "base/json.h"

namespace finback {
namespace {

constexpr int64_t kHashedBlock = 512, kTokenBlock = 64;
constexpr int64_t kMostTokens = int64_t{1} << 31;

// A block is known by its own id and the number of the block before it: only equal prefixes get equal numbers, whatever ids a file uses.
struct ChainedBlock {
  int64_t parent, id;
  bool operator==(const ChainedBlock&) const = default;
};
struct ChainedBlockHash {
  size_t operator()(const ChainedBlock& block) const { return xxhash64(std::as_bytes(std::span(&block, 1))); }
};

class TraceReader {
 public:
  void line(const Json& row, const std::string& what) {
    const bool hashed = row.is_object() && row.contains("hash_ids");
    FB_CHECK(hashed || (row.is_object() && row.contains("tokens")), "{}: expected an object with hash_ids or tokens", what);
    const int64_t block = hashed ? kHashedBlock : kTokenBlock;
    FB_CHECK(trace_.block_tokens == 0 || trace_.block_tokens == block, "{}: expected {} as in the lines before", what,
             hashed ? "tokens" : "hash_ids");
    trace_.block_tokens = block;
    check_time(row, what);
    trace_.output_tokens += row.contains("output_length") ? json_integer(row, "output_length", what, 0, kMostTokens) : 0;
    trace_.prompt_tokens += hashed ? hashed_prompt(row, what) : token_prompt(row, what);
  }
  CacheTrace done(const std::string& what) {
    FB_CHECK(!trace_.requests.empty(), "{}: expected a request a line, got none", what);
    trace_.distinct_blocks = int64_t(numbers_.size());
    return std::move(trace_);
  }

 private:
  void check_time(const Json& row, const std::string& what) {
    if (!row.contains("timestamp")) return;
    const Json& time = row["timestamp"];
    FB_CHECK(time.is_number(), "{}: timestamp: expected a number", what);
    FB_CHECK(time.get<double>() >= latest_, "{}: expected lines in order of time, got timestamp {} after {}", what, time.get<double>(),
             latest_);
    latest_ = time.get<double>();
  }

  int64_t hashed_prompt(const Json& row, const std::string& what) {
    const int64_t tokens = json_integer(row, "input_length", what, 1, kMostTokens);
    const Json& ids = integers(row, "hash_ids", what);
    const int64_t full = tokens / kHashedBlock, all = (tokens + kHashedBlock - 1) / kHashedBlock, count = int64_t(ids.size());
    FB_CHECK(count == full || count == all, "{}: expected {} hash_ids for {} tokens (one for each {}), got {}", what, all, tokens,
             kHashedBlock, count);
    add_request(full, [&](int64_t i) { return ids[size_t(i)].get<int64_t>(); });
    return tokens;
  }

  int64_t token_prompt(const Json& row, const std::string& what) {
    const Json& ids = integers(row, "tokens", what);
    FB_CHECK(!ids.empty(), "{}: tokens: expected at least one", what);
    std::vector<int64_t> tokens(ids.size());
    std::transform(ids.begin(), ids.end(), tokens.begin(), [](const Json& id) { return id.get<int64_t>(); });
    add_request(int64_t(tokens.size()) / kTokenBlock, [&](int64_t i) {
      return int64_t(xxhash64(std::as_bytes(std::span(tokens).subspan(size_t(i * kTokenBlock), kTokenBlock))));
    });
    return int64_t(tokens.size());
  }

  static const Json& integers(const Json& row, const std::string& key, const std::string& what) {
    const Json& list = json_at(row, key, what);
    const bool good = list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& id) { return id.is_number_integer(); });
    FB_CHECK(good, "{}: {}: expected a list of integers", what, key);
    return list;
  }

  template <class Id>
  void add_request(int64_t blocks, const Id& id) {
    std::vector<int32_t>& request = trace_.requests.emplace_back();
    int64_t parent = -1;
    for (int64_t i = 0; i < blocks; ++i) {
      parent = numbers_.try_emplace({parent, id(i)}, int32_t(numbers_.size())).first->second;
      request.push_back(int32_t(parent));
    }
    FB_CHECK(numbers_.size() < size_t(std::numeric_limits<int32_t>::max()), "expected fewer than 2^31 different blocks in a trace");
  }

  CacheTrace trace_;
  std::unordered_map<ChainedBlock, int32_t, ChainedBlockHash> numbers_;
  double latest_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

CacheTrace parse_cache_trace(std::string_view text, const std::string& what) {
  TraceReader reader;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string place = fmt::format("{}, line {}", what, ++number);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) reader.line(parse_json(line, place), place);
  }
  return reader.done(what);
}

}  // namespace finback
