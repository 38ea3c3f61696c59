// finback tokenizer: train a byte-level BPE; encode and decode standard input.
#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/output_place.h"
#include "base/progress.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/bench_tokenizer.h"
#include "cli/encode_stdin.h"
#include "cli/reading_flags.h"
#include "cli/verbs.h"
#include "data/text_reader.h"
#include "model/model_folder.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace {

Tokenizer load_file(const Args& args) { return Tokenizer::load(find_tokenizer(args.required(1, "a tokenizer folder"))); }

void encode(const Args& args) {
  const Tokenizer tokenizer = load_file(args);
  // As Hugging Face tokenizers, to compare with; documents and prompts are read with --as-text.
  encode_stdin(tokenizer, {.add_special = args.has("add-special"), .control_tokens = !args.has("as-text")}, args.has("jsonl"));
}

void decode(const Args& args) { decode_stdin(load_file(args), args.has("skip-special"), args.has("jsonl")); }

constexpr size_t kBatchBytes = 32 << 20;  // text held in memory while its words are counted

void count_input(const std::string& path, BpeTrainer& trainer, ReadReport& report) {
  TextReader reader(path, report);
  Progress progress("counting words of " + path, double(reader.total_bytes()) / 1e6, "MB");
  std::vector<std::string> batch;
  size_t bytes = 0;
  double shown = 0;
  const auto flush = [&] {
    const std::vector<std::string_view> views(batch.begin(), batch.end());
    // Within a batch, which may be one huge document, at the speed of counting: what was read of the files does not move.
    const double read = double(reader.consumed_bytes()) / 1e6, share = (read - shown) / std::max(1.0, double(bytes));
    const int64_t before = trainer.bytes();
    trainer.add(views, [&](int64_t counted) { progress.update(shown + share * double(counted - before)); });
    shown = read;
    batch.clear();
    bytes = 0;
    progress.update(shown);
  };
  for (Document document; reader.next(document);) {
    bytes += document.text.size();
    batch.push_back(std::move(document.text));
    if (bytes >= kBatchBytes) flush();
  }
  flush();
  progress.finish();
}

void train(const Args& args) {
  args.required(1, "an input: text files, a folder or a corpus");
  int64_t vocab_size = args.integer("vocab-size", 0, 0, int64_t{1} << 40);
  if (!args.has("out")) throw UsageError("tokenizer train expects --out DIR");
  FB_CHECK(!args.has("vocab-size") || vocab_size >= minimum_vocab_size(),
           "--vocab-size: expected at least {} (bytes, special and chat tokens), got {}", minimum_vocab_size(), vocab_size);
  check_folder_place(*args.get("out"));
  ResultFolder folder(*args.get("out"));  // held from the start: hours of reading are not lost to another at the end
  Timer timer;
  BpeTrainer trainer;
  ReadReport report(bad_limit(args));
  for (size_t i = 1; i < args.positional().size(); ++i) count_input(args.positional()[i], trainer, report);
  report.check();
  FB_CHECK(trainer.bytes() > 0, "expected text in the inputs, got none{}", report.why_nothing());
  if (!args.has("vocab-size")) {
    vocab_size = usual_vocab_size(trainer.bytes());
    inform(fmt::format("vocabulary {}, as is usual for {:.1f} MB of text. Hint: --vocab-size N for another", vocab_size,
                       double(trainer.bytes()) / 1e6));
  }
  Progress progress("searching merges", double(vocab_size - minimum_vocab_size()), "merges");
  const std::vector<MergePair> merges = trainer.train(vocab_size, [&](int64_t found) { progress.update(double(found)); });
  progress.finish();
  if (trainer.forgotten_bytes() > 0) {
    warn(fmt::format("rare words with {:.1f} % of the text do not count: there are too many to remember",
                     100 * double(trainer.forgotten_bytes()) / double(trainer.bytes())));
  }
  const std::string out = *args.get("out");
  write_tokenizer(out, merges, vocab_size);
  folder.keep();
  if (!report.nothing_to_say()) say_what_was_read(report);
  const double seconds = timer.seconds(), megabytes = double(trainer.bytes()) / 1e6;
  if (args.has("json")) {
    fmt::print(
        "{}", dump_json({{"folder", out}, {"vocab_size", vocab_size}, {"merges", merges.size()}, {"mb", megabytes}, {"seconds", seconds}}));
    return;
  }
  const int64_t unused = vocab_size - minimum_vocab_size() - int64_t(merges.size());
  fmt::print("{}: {} merges from {:.1f} MB in {:.1f} s, vocabulary {}{}\n", out, merges.size(), megabytes, seconds, vocab_size,
             unused ? fmt::format(" ({} placeholders: the text has no more pairs)", unused) : "");
}

void bench(const Args& args) {
  const Tokenizer tokenizer = load_file(args);
  args.required(2, "text to encode");
  std::vector<std::string> texts;
  ReadReport report(bad_limit(args));
  for (size_t i = 2; i < args.positional().size(); ++i) {
    TextReader reader(args.positional()[i], report);
    Progress progress("reading " + args.positional()[i], double(reader.total_bytes()) / 1e6, "MB");
    for (Document document; reader.next(document);) {
      texts.push_back(std::move(document.text));
      progress.update(double(reader.consumed_bytes()) / 1e6);
    }
    progress.vanish();
  }
  report.check();
  if (!report.nothing_to_say()) say_what_was_read(report);
  FB_CHECK(std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return !text.empty(); }),
           "expected text in the inputs, got none{}", report.why_nothing());
  fmt::print("{}", dump_json(bench_tokenizer(tokenizer, texts)));
}

}  // namespace

int cmd_tokenizer(CommandLine words) {
  Args args(
      "tokenizer train INPUT... [--vocab-size N] --out DIR | encode DIR | decode DIR | bench DIR INPUT...",
      "Trains a byte-level BPE in DeepSeek-V3's form on text files (.txt, .md, .jsonl; also .gz and .zst), folders of them or the training "
      "split of a corpus folder. Encodes or decodes standard input with the tokenizer.json in DIR (byte-level BPE of the DeepSeek, "
      "Llama-3, Qwen and GPT-2 families) and the files beside it that name tokens. encode reads a control token that the text spells, "
      "such as <｜User｜>, as the token, as Hugging Face tokenizers does; documents (tokenize) and prompts (generate) never are read so: "
      "encode --as-text shows their ids.",
      "finback tokenizer train notes.txt --vocab-size 4096 --out runs/tokenizer");
  args.flag("vocab-size", "N",
            "train: ids in all, so the rows of the embedding (default: by the text, 1024 for half a megabyte, 8192 for 80 MB, 32768 for 1 "
            "GB)")
      .only_of({"train"})
      .flag("out", "DIR", "train: where tokenizer.json and tokenizer_config.json go")
      .only_of({"train"})
      .toggle("jsonl", "one JSON string (encode) or list of ids (decode) a line, one answer a line")
      .only_of({"encode", "decode"})
      .toggle("add-special", "encode: with what prompts get around them (the post-processor's template, add_bos_token)")
      .only_of({"encode"})
      .toggle("as-text", "encode: control tokens that the text spells stay text")
      .only_of({"encode"})
      .toggle("skip-special", "decode: without special tokens")
      .only_of({"decode"})
      .toggle("json", "train: the report as JSON (that of bench always is)")
      .only_of({"train", "bench"});
  declare_reading_flags(args, {"train", "bench"});
  if (!args.parse(words)) return 0;
  const std::string& what = args.required(0, "train, encode, decode or bench");
  const auto run = what == "train" ? train : what == "encode" ? encode : what == "decode" ? decode : what == "bench" ? bench : nullptr;
  if (!run) throw UsageError(fmt::format("expected tokenizer train, encode, decode or bench, got \"{}\"", what));
  args.check_mode(what);
  if (what == "encode" || what == "decode") args.at_most(2);
  run(args);
  return 0;
}

}  // namespace finback
