#include "cli/encode_stdin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <span>

#include "base/json.h"
#include "base/progress.h"
#include "base/status_line.h"
#include "base/terminal.h"
#include "cli/standard_streams.h"
#include "cli/typed_text.h"
#include "data/json_record.h"

namespace finback {
namespace {

constexpr size_t kPrintedAtATime = 1 << 18;  // ids

void print_ids(const std::vector<int32_t>& ids, const char* separator, const char* open, const char* close, Progress* progress = nullptr) {
  std::string line = open;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i) line += separator;
    fmt::format_to(std::back_inserter(line), "{}", ids[i]);
    if ((i + 1) % kPrintedAtATime != 0) continue;
    write_stdout(line);
    line.clear();
    if (progress) progress->update(double(i + 1));
  }
  line += close;
  line += '\n';
  write_stdout(line);
}

// Bytes of a file on standard input; 0: a pipe or a terminal, whose end is not known.
double stdin_megabytes() {
  struct stat at;
  return ::fstat(STDIN_FILENO, &at) == 0 && S_ISREG(at.st_mode) ? double(at.st_size) / 1e6 : 0;
}

// All of standard input. Nobody who types waits for a line that says so.
std::string read_all(const char* what) {
  if (is_terminal(STDIN_FILENO)) return read_stdin();
  Progress progress(what, stdin_megabytes(), "MB");
  std::string text = read_stdin([&](size_t bytes) { progress.update(double(bytes) / 1e6); });
  progress.vanish();
  return text;
}

// Calls use(line, where) for every line of standard input that is not blank. Where somebody types, or the answers go to a terminal, they are the progress.
template <class Use>
void for_each_line(const char* what, const Use& use) {
  std::optional<Progress> progress;
  if (!is_terminal(STDIN_FILENO) && !is_terminal(STDOUT_FILENO)) progress.emplace(what, stdin_megabytes(), "MB");
  say_stdin_is_read();
  std::string line;
  double done = 0;
  for (int64_t number = 1; read_stdin_line(line); ++number) {
    done += double(line.size() + 1) / 1e6;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    use(std::string_view(line).substr(line.find_first_not_of(" \t\r")), fmt::format("line {} of standard input", number));
    if (progress) progress->update(done);
  }
  if (progress) progress->finish();
}

std::vector<int32_t> parse_ids(const Json& list, const std::string& where) {
  FB_CHECK(list.is_array(), "{}: expected a list of ids, got {}", where, list.type_name());
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    FB_CHECK(id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() <= INT32_MAX, "{}: expected ids from 0 to {}, got {}",
             where, INT32_MAX, dump_json_line(id).substr(0, 40));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// Standard input as one text.
void encode_text(const Tokenizer& tokenizer, EncodeOptions options) {
  const std::string text = typed_text(read_all("reading the text"), "standard input");
  Progress encoding("encoding", double(text.size()) / 1e6, "MB");
  encoding.update(0);  // what comes before the first call is not part of the rate
  options.on_progress = [&](size_t bytes) { encoding.update(double(bytes) / 1e6); };
  const std::vector<int32_t> ids = tokenizer.encode(text, options);
  encoding.finish();
  Progress printing("writing ids", double(ids.size()), "tokens");
  print_ids(ids, " ", "", "", is_terminal(STDOUT_FILENO) ? nullptr : &printing);
  printing.vanish();
}

// Ids on standard input, apart by blanks.
std::vector<int32_t> read_ids() {
  constexpr std::string_view kBlanks = " \t\n\r\f\v";
  const std::string text = read_all("reading ids");
  std::vector<int32_t> ids;
  Progress progress("reading ids", double(text.size()) / 1e6, "MB");
  for (size_t begin = 0, end; (begin = text.find_first_not_of(kBlanks, begin)) != std::string::npos; begin = end) {
    end = std::min(text.size(), text.find_first_of(kBlanks, begin));
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, id);
    const bool fine = end - begin <= 9 && error == std::errc() && stop == text.data() + end && id >= 0;
    FB_CHECK(fine, "standard input: expected token ids apart by blanks, got \"{}\"", text.substr(begin, std::min<size_t>(40, end - begin)));
    ids.push_back(id);
    if (ids.size() % kPrintedAtATime == 0) progress.update(double(end) / 1e6);
  }
  progress.vanish();
  return ids;
}

void check_ids(const std::vector<int32_t>& ids, const Tokenizer& tokenizer, const std::string& where) {
  for (const int32_t id : ids) {
    FB_CHECK(tokenizer.has_token(id), "{}: expected ids of tokens, got {}, which has none. Hint: the tokenizer has ids up to {}", where, id,
             tokenizer.vocab_size() - 1);
  }
}

void decode_ids(const Tokenizer& tokenizer, std::span<const int32_t> ids, bool skip_special) {
  std::optional<Progress> progress;
  if (!is_terminal(STDOUT_FILENO)) progress.emplace("decoding", double(ids.size()), "tokens");
  StreamDecoder decoder(tokenizer, skip_special);
  for (size_t done = 0; done < ids.size();) {
    const size_t count = std::min(kPrintedAtATime, ids.size() - done);
    write_stdout(decoder.push(ids.subspan(done, count)));
    done += count;
    if (progress) progress->update(double(done));
  }
  write_stdout(decoder.finish());
  if (progress) progress->finish();
}

}  // namespace

void encode_stdin(const Tokenizer& tokenizer, const EncodeOptions& options, bool jsonl) {
  if (!jsonl) return encode_text(tokenizer, options);
  for_each_line("encoding", [&](std::string_view given, const std::string& where) {
    std::string text;
    const std::string typed = typed_text(std::string(given), where);
    std::string_view line = typed;
    bool repaired = false;  // half a surrogate pair is U+FFFD here as in a corpus, and as broken bytes are
    const bool read = read_json_text(line, text, repaired) && line.find_first_not_of(" \t\r") == std::string_view::npos;
    FB_CHECK(read, "{}: expected a JSON string and nothing behind it, got something else at {} bytes before its end", where, line.size());
    if (repaired) warn(fmt::format("{}: half a surrogate pair, read as U+FFFD, or a bare control character", where));
    print_ids(tokenizer.encode(text, options), ",", "[", "]");
  });
}

void decode_stdin(const Tokenizer& tokenizer, bool skip_special, bool jsonl) {
  if (!jsonl) {
    const std::vector<int32_t> ids = read_ids();
    check_ids(ids, tokenizer, "standard input");
    return decode_ids(tokenizer, ids, skip_special);
  }
  for_each_line("decoding", [&](std::string_view line, const std::string& where) {
    const std::vector<int32_t> ids = parse_ids(parse_json(line, where), where);
    check_ids(ids, tokenizer, where);
    fmt::print("{}\n", dump_json_line(tokenizer.decode(ids, skip_special)));
  });
}

}  // namespace finback
