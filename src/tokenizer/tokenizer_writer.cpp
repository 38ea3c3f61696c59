#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/known_patterns.h"
#include "tokenizer/special_tokens.h"

namespace finback {
namespace {

std::string quoted(const std::string& text) { return dump_json_line(Json(text)); }

Json added_token_json(int64_t id, const AddedToken& token) {
  return {{"id", id},
          {"content", token.content},
          {"single_word", token.single_word},
          {"lstrip", token.lstrip},
          {"rstrip", token.rstrip},
          {"normalized", token.normalized},
          {"special", token.special}};
}

Json byte_level(bool add_prefix_space, bool trim_offsets, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", trim_offsets}, {"use_regex", use_regex}};
}

// A text begins with bos, as the documents that a model is trained on do. The template says so to every program; a flag in
// tokenizer_config.json is lost when transformers saves the folder anew.
Json post_processor_json() {
  const Json bos = {{"SpecialToken", {{"id", kBosToken}, {"type_id", 0}}}};
  const auto sequence = [](const char* id, int type) { return Json{{"Sequence", {{"id", id}, {"type_id", type}}}}; };
  const Json processor = {{"type", "TemplateProcessing"},
                          {"single", Json::array({bos, sequence("A", 0)})},
                          {"pair", Json::array({bos, sequence("A", 0), sequence("B", 1)})},
                          {"special_tokens", {{kBosToken, {{"id", kBosToken}, {"ids", {0}}, {"tokens", {kBosToken}}}}}}};
  return {{"type", "Sequence"}, {"processors", Json::array({byte_level(true, false, true), processor})}};
}

Json pre_tokenizer_json() {
  Json steps = Json::array();
  for (const std::string_view regex : kDeepSeekRegexes) {
    steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back(byte_level(false, true, false));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// Tokens of the model by id, in byte symbols.
std::vector<std::string> model_tokens(const std::vector<MergePair>& merges) {
  std::vector<std::string> tokens = {kBosToken, kEosToken, kPadToken};
  for (const uint8_t byte : bytes_in_symbol_order()) {
    const char c = char(byte);
    tokens.push_back(to_byte_symbols({&c, 1}));
  }
  for (const MergePair& merge : merges) {
    FB_ASSERT(size_t(merge.left) < tokens.size() && size_t(merge.right) < tokens.size(), "a merge joins earlier tokens");
    tokens.push_back(tokens[size_t(merge.left)] + tokens[size_t(merge.right)]);
  }
  return tokens;
}

Json added_tokens_json(int64_t first_id, int64_t vocab_size) {
  Json list = Json::array();
  for (const char* content : {kBosToken, kEosToken, kPadToken}) {
    list.push_back(added_token_json(int64_t(list.size()), {.content = content, .special = true}));
  }
  int64_t id = first_id;
  for (int64_t number = 0; id < vocab_size - int64_t(chat_tokens().size()); ++number, ++id) {
    list.push_back(added_token_json(id, placeholder_token(number)));
  }
  for (const AddedToken& token : chat_tokens()) list.push_back(added_token_json(id++, token));
  return list;
}

// A vocabulary is an object of very many keys, which the JSON type is slow to build: that part is written by hand.
std::string tokenizer_text(const std::vector<MergePair>& merges, int64_t vocab_size) {
  const std::vector<std::string> tokens = model_tokens(merges);
  Json head = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_tokens_json(int64_t(tokens.size()), vocab_size)},
               {"normalizer", {{"type", "Sequence"}, {"normalizers", Json::array()}}},
               {"pre_tokenizer", pre_tokenizer_json()},
               {"post_processor", post_processor_json()},
               {"decoder", byte_level(true, true, true)}};
  std::string text = dump_json(head);
  text.resize(text.rfind('\n', text.size() - 2));  // without the closing brace
  text +=
      ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": "
      "null,\n"
      "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n"
      "    \"vocab\": {\n";
  for (size_t id = 0; id < tokens.size(); ++id) {
    text += fmt::format("      {}: {}{}\n", quoted(tokens[id]), id, id + 1 < tokens.size() ? "," : "");
  }
  text += "    },\n    \"merges\": [";
  for (size_t i = 0; i < merges.size(); ++i) {
    text +=
        fmt::format("{}\n      [{}, {}]", i ? "," : "", quoted(tokens[size_t(merges[i].left)]), quoted(tokens[size_t(merges[i].right)]));
  }
  return text + "\n    ]\n  }\n}\n";
}

// V3's format as a template for programs that render one; encode_chat in chat_format.cpp says the same in C++.
constexpr const char* kChatTemplate =
    "{{ bos_token }}{{ messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\n\n') }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<｜Assistant｜>' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}";

// As DeepSeek's. The chat template sets its own bos.
Json tokenizer_config() {
  return {{"add_bos_token", true},
          {"add_eos_token", false},
          {"bos_token", kBosToken},
          {"eos_token", kEosToken},
          {"pad_token", kEosToken},
          {"unk_token", nullptr},
          {"clean_up_tokenization_spaces", false},
          {"model_max_length", 131072},
          {"tokenizer_class", "PreTrainedTokenizerFast"},
          {"chat_template", kChatTemplate}};
}

}  // namespace

void write_tokenizer(const std::filesystem::path& folder, const std::vector<MergePair>& merges, int64_t vocab_size) {
  FB_ASSERT(int64_t(merges.size()) <= vocab_size - minimum_vocab_size(), "more merges than ids");
  make_directories(folder);
  // tokenizer_config.json last: who finds it finds both.
  write_file_atomic(folder / "tokenizer.json", tokenizer_text(merges, vocab_size));
  write_file_atomic(folder / "tokenizer_config.json", dump_json(tokenizer_config()));
}

}  // namespace finback
