// A corpus recipe: which texts, how they are cut into documents, which documents are held out. Every field with default and help listed
// once (base/fields.h). Knows no data.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/fields.h"

namespace finback {

struct CorpusSource {
  std::string name;
  std::string package, path;
  std::vector<std::string> paths;
  std::string format = "text";
  std::vector<std::string> files, suffixes, skip, drop_lines, held_out;
  std::string encoding = "auto", crlf = "lf";
  std::string document_start, separator;
  int64_t document_bytes = 0;
  int64_t unindent = 0;
  double validation_share = 0;
  bool optional = false;
};
template <class V>
void visit_fields(CorpusSource& c, V& v) {
  v("name", c.name, "tag of the source's documents");
  v("package", c.package, "Debian package that holds the text (give this or path)");
  v("path", c.path, "local file or folder, relative to the recipe (give this, paths or package)");
  v("paths", c.paths, "several of them");
  v("format", c.format, "text | r-strings | dictd | wordnet");
  v("files", c.files, "files or folders inside the package or path; empty: all of it");
  v("suffixes", c.suffixes,
    "of folders, only files whose names end so; empty: .txt .text .md .markdown .rst .org .adoc .tex .jsonl .ndjson, also .gz .zst");
  v("skip", c.skip, "leave out files whose path contains one of these");
  v("encoding", c.encoding,
    "of text files: auto (recognised) | utf-8 | utf-16le | utf-16be | utf-32le | utf-32be | windows-1252 | latin-1");
  v("crlf", c.crlf, "line ends CRLF become LF (lf) or stay (keep)");
  v("drop_lines", c.drop_lines,
    "leave out lines that begin so, behind any indent, and end with the matching bracket if it begins with one");
  v("held_out", c.held_out, "documents whose id begins so are validation");
  v("document_start", c.document_start, "a line that begins so (any case) starts a document; empty: a file is one");
  v("separator", c.separator, "a line that is this ends a document and is left out, such as <|endoftext|>");
  v("document_bytes", c.document_bytes, "join pieces (entries, glosses) into documents of at least this many bytes; 0: each is one");
  v("unindent", c.unindent, "leading spaces removed from each line, at most");
  v("validation_share", c.validation_share,
    "share of the bytes held out: documents chosen by a hash of their ids, and the end of one where whole ones do not fit");
  v("optional", c.optional, "a package that cannot be fetched is left out with a warning");
}

struct CorpusRecipe {
  std::string name, about;
  std::vector<CorpusSource> sources;
};
template <class V>
void visit_fields(CorpusRecipe& c, V& v) {
  v("name", c.name, "what the corpus is called");
  v("about", c.about, "one sentence");
  v("sources", c.sources, "where the text comes from, in order");
}

// Reads and checks a TOML recipe; local paths come back absolute. Throws Error naming key, expected and got.
CorpusRecipe load_corpus_recipe(const std::filesystem::path& path);

// The recipe of files and folders that need none: one source, all defaults.
CorpusRecipe recipe_of_paths(const std::vector<std::string>& paths, const std::string& name, double validation_share);

}  // namespace finback
