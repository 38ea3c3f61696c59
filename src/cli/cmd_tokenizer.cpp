// finback tokenizer: train a byte-level BPE; encode and decode standard input.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace {

void print_ids(const std::vector<int32_t>& ids, const char* separator, const char* open, const char* close) {
  std::string line = open;
  for (size_t i = 0; i < ids.size(); ++i) line += (i ? separator : "") + std::to_string(ids[i]);
  line += close;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
}

std::string read_input() { return std::string(std::istreambuf_iterator<char>(std::cin), {}); }

// Calls use(json, where) for every line of standard input that is not blank.
template <class Use>
void for_each_json_line(const Use& use) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("line {} of standard input", number);
    use(parse_json(line, where), where);
  }
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

void encode(const Args& args) {
  const Tokenizer tokenizer = Tokenizer::load(args.required(1, "a tokenizer folder"));
  const bool special = args.has("add-special");
  if (!args.has("jsonl")) return print_ids(tokenizer.encode(read_input(), special), " ", "", "");
  for_each_json_line([&](const Json& text, const std::string& where) {
    FB_CHECK(text.is_string(), "{}: expected a JSON string, got {}", where, text.type_name());
    print_ids(tokenizer.encode(text.get_ref<const std::string&>(), special), ",", "[", "]");
  });
}

// Ids on standard input, apart by anything that is not a digit.
std::vector<int32_t> read_ids() {
  std::vector<int32_t> ids;
  std::string word;
  while (std::cin >> word) {
    const bool fine = word.size() <= 9 && word.find_first_not_of("0123456789") == std::string::npos;
    FB_CHECK(fine, "standard input: expected token ids apart by blanks, got \"{}\"", word.substr(0, 40));
    ids.push_back(std::stoi(word));
  }
  return ids;
}

void decode(const Args& args) {
  const Tokenizer tokenizer = Tokenizer::load(args.required(1, "a tokenizer folder"));
  const bool skip = args.has("skip-special");
  if (!args.has("jsonl")) {
    const std::string text = tokenizer.decode(read_ids(), skip);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  for_each_json_line([&](const Json& list, const std::string& where) {
    fmt::print("{}\n", dump_json_line(tokenizer.decode(parse_ids(list, where), skip)));
  });
}

}  // namespace

int cmd_tokenizer(Words words) {
  Args args("tokenizer encode DIR | decode DIR",
            "Encodes or decodes standard input with the tokenizer.json in DIR (byte-level BPE of the DeepSeek, Llama-3, Qwen and GPT-2 "
            "families).",
            "echo \"It was\" | finback tokenizer encode runs/quickstart/latest");
  args.toggle("jsonl", "one JSON string (encode) or list of ids (decode) a line, one answer a line")
      .toggle("add-special", "encode: with what the post-processor adds")
      .toggle("skip-special", "decode: without special tokens");
  if (!args.parse(words)) return 0;
  const std::string& what = args.required(0, "train, encode or decode");
  args.at_most(2);
  if (what == "encode") {
    encode(args);
  } else if (what == "decode") {
    decode(args);
  } else {
    throw UsageError(fmt::format("expected tokenizer train, encode or decode, got \"{}\"", what));
  }
  return 0;
}

}  // namespace finback
