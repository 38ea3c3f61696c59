// What a terminal is asked for: whether there is one, how wide it is, whether it shows colours; and text cut to fit it. Knows nothing of what is
// shown. Any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace finback {

// Whether somebody reads `fd` at a terminal that can rewrite a line; one that calls itself "dumb" cannot.
bool is_terminal(int fd);
// Columns of the terminal behind `fd`, asked anew each time, so that a resize counts at once. Where it does not say: COLUMNS, or 80.
int terminal_columns(int fd);
// Whether colours are wanted on `fd`: a terminal, and NO_COLOR is not set (or empty).
bool shows_colours(int fd);

// Columns that UTF-8 text takes. Control characters and broken bytes count one.
int display_width(std::string_view text);
// The text in at most `columns` columns, on one line: what is too long ends in "…", control characters become blanks.
std::string cut_to_width(std::string_view text, int columns);

// A piece of a line and how much it matters: 0 stays longest. `least`: the columns to which it may be cut before others are left out; 0: it is not cut.
struct LinePart {
  std::string text;
  int rank = 0;
  int least = 0;
};
// The parts in their order, two blanks between them, in at most `columns` columns: those that may be are cut, then those of the highest ranks are left
// out (of equal ones the last), and what is still too long is cut.
std::string fit_line(const std::vector<LinePart>& parts, int columns);

}  // namespace finback
