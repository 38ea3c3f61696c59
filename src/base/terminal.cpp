#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace finback {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// One character of a text: its bytes and the columns that they take.
struct Glyph {
  size_t bytes = 1;
  int columns = 1;
  bool printable = false;
};

Glyph first_glyph(std::string_view text) {
  utf8proc_int32_t code = -1;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()), &code);
  if (bytes <= 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) return {bytes <= 0 ? 1 : size_t(bytes), 1, false};
  return {size_t(bytes), utf8proc_charwidth(code), true};
}

// Columns of all parts with the blanks between; `cut`: with those that may be cut at their least.
int joined_width(const std::vector<LinePart>& parts, bool cut) {
  int columns = parts.empty() ? 0 : 2 * int(parts.size() - 1);
  for (const LinePart& part : parts) {
    const int width = display_width(part.text);
    columns += cut && part.least > 0 ? std::min(width, part.least) : width;
  }
  return columns;
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1 && environment("TERM") != "dumb"; }

int terminal_columns(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const int columns = std::atoi(std::string(environment("COLUMNS")).c_str());
  return columns > 0 ? columns : 80;
}

bool shows_colours(int fd) { return is_terminal(fd) && environment("NO_COLOR").empty(); }

int display_width(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Glyph glyph = first_glyph(text);
    columns += glyph.columns;
    text.remove_prefix(glyph.bytes);
  }
  return columns;
}

std::string cut_to_width(std::string_view text, int columns) {
  const bool fits = display_width(text) <= columns;
  const int room = fits ? columns : columns - 1;  // the sign that something is missing takes one
  std::string line;
  for (int used = 0; !text.empty();) {
    const Glyph glyph = first_glyph(text);
    used += glyph.columns;
    if (used > room) break;
    line += glyph.printable ? text.substr(0, glyph.bytes) : " ";
    text.remove_prefix(glyph.bytes);
  }
  return fits || columns < 1 ? line : line + "…";
}

std::string fit_line(const std::vector<LinePart>& parts, int columns) {
  std::vector<LinePart> kept;
  std::copy_if(parts.begin(), parts.end(), std::back_inserter(kept), [](const LinePart& part) { return !part.text.empty(); });
  while (kept.size() > 1 && joined_width(kept, true) > columns) {
    const auto last = std::max_element(kept.rbegin(), kept.rend(), [](const LinePart& a, const LinePart& b) { return a.rank < b.rank; });
    if (last->rank == 0) break;
    kept.erase(std::next(last).base());
  }
  std::string line;
  for (LinePart& part : kept) {
    const int surplus = joined_width(kept, false) - columns;
    if (part.least > 0 && surplus > 0) part.text = cut_to_width(part.text, std::max(part.least, display_width(part.text) - surplus));
    line += (line.empty() ? "" : "  ") + part.text;
  }
  return cut_to_width(line, columns);
}

}  // namespace finback
