// From pieces of text (files, records, entries of a dictionary) to documents, by the rules of a corpus source: lines cleaned, pieces cut or joined,
// long documents given in parts. A piece may come in parts itself, so nothing here grows with its size. One thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "data/corpus_recipe.h"
#include "data/text_reader.h"

namespace finback {

class DocumentCutter {
 public:
  // Documents go to `sink` in order: never empty, no blank lines at the ends, one newline behind.
  DocumentCutter(const CorpusSource& source, const DocumentSink& sink) : source_(source), sink_(sink) {}

  // begins: the first part of a piece, which ends the one before. REQUIRES: text is valid UTF-8.
  void add(const std::string& id, bool begins, std::string_view text);
  void finish();

  int64_t pieces() const { return pieces_; }
  int64_t dropped_lines() const { return dropped_lines_; }
  int64_t cuts() const { return cuts_; }  // made because a document was longer than kPartBytes

 private:
  bool by_lines() const;
  bool is_dropped(std::string_view line) const;
  void line(std::string_view line);
  void append(std::string_view text);
  void end_piece();
  void end_document(int64_t next_number);
  void join();
  void give(const std::string& id, std::string_view text, int64_t part);
  const CorpusSource& source_;
  const DocumentSink& sink_;
  std::string id_, line_;  // of the piece; a line of it that has not ended
  std::string document_;   // what stands in the document so far
  std::string joined_, joined_id_;
  int64_t pieces_ = 0, dropped_lines_ = 0, cuts_ = 0;
  int64_t number_ = 0;  // of the document in its piece
  int64_t part_ = -1;   // of the document, when it is a long one
  bool in_piece_ = false, first_line_ = false;
};

}  // namespace finback
