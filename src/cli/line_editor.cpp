#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <string_view>

#include "base/error.h"
#include "base/terminal.h"
#include "cli/standard_streams.h"

namespace finback {
namespace {

// libedit's wide characters are code points; ours are UTF-8.
std::wstring wide(const std::string& text) {
  std::wstring out;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const size_t bytes = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    if (byte >= 0x80 && (byte < 0xc2 || byte > 0xf4 || at + bytes > text.size())) {
      out += L'\xfffd';
      ++at;
      continue;
    }
    uint32_t code = bytes == 1 ? byte : byte & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
    out += wchar_t(code);
    at += bytes;
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t character : text) {
    const auto code = uint32_t(character);
    if (code < 0x80) {
      out += char(code);
    } else if (code < 0x800) {
      out += {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
    } else if (code < 0x10000) {
      out += {char(0xe0 | code >> 12), char(0x80 | (code >> 6 & 0x3f)), char(0x80 | (code & 0x3f))};
    } else {
      out += {char(0xf0 | code >> 18), char(0x80 | (code >> 12 & 0x3f)), char(0x80 | (code >> 6 & 0x3f)), char(0x80 | (code & 0x3f))};
    }
  }
  return out;
}

// What libedit shows is encoded by the locale; a terminal of today reads UTF-8 whatever the environment forgot to say.
void use_utf8() {
  ::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) ::setlocale(LC_CTYPE, "C.UTF-8");
}

constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
constexpr const char *kPasteOn = "\x1b[?2004h", *kPasteOff = "\x1b[?2004l";

}  // namespace

struct LineEditor::Terminal {
  explicit Terminal(TurnSignals* of) : signals(of) {
    ::tcgetattr(STDIN_FILENO, &before);
    use_utf8();
    editor = ::el_init("finback", stdin, stderr, stderr);
    past = ::history_winit();
    FB_CHECK(editor && past, "cannot use this terminal. Hint: TERM={}", std::getenv("TERM") ? std::getenv("TERM") : "");
    HistEventW event;
    ::history_w(past, &event, H_SETSIZE, int(kHistoryEntries));
    ::history_w(past, &event, H_SETUNIQUE, 1);
    ::el_wset(editor, EL_CLIENTDATA, this);
    ::el_wset(editor, EL_EDITOR, L"emacs");
    ::el_wset(editor, EL_SIGNAL, 0);
    ::el_wset(editor, EL_SETTY, L"-d", L"-icrnl", L"-inlcr", nullptr);  // a paste's CR LF is one newline, not two
    ::el_wset(editor, EL_HIST, history_w, past);
    ::el_wset(editor, EL_PROMPT_ESC, shows_colours(STDERR_FILENO) ? coloured_prompt : plain_prompt, L'\1');
    ::el_wset(editor, EL_GETCFN, read_key);
    ::el_wset(editor, EL_ADDFN, L"paste", L"insert a paste in one piece", insert_paste);
    ::el_wset(editor, EL_ADDFN, L"newline", L"insert a newline", insert_newline);
    ::el_wset(editor, EL_BIND, L"\\e[200~", L"paste", nullptr);
    ::el_wset(editor, EL_BIND, L"\\e^M", L"newline", nullptr);  // Alt-Enter
    ::el_wset(editor, EL_BIND, L"\\e^J", L"newline", nullptr);
    ::el_wset(editor, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
    hold_keys();
  }
  ~Terminal() {
    ::history_wend(past);
    ::el_end(editor);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  }
  Terminal(const Terminal&) = delete;

  static wchar_t* plain_prompt(EditLine*) {
    static wchar_t text[] = L"> ";
    return text;
  }
  static wchar_t* coloured_prompt(EditLine*) {
    static wchar_t text[] = L"\1\x1b[1;32m\1> \1\x1b[0m\1";
    return text;
  }
  static Terminal& of(EditLine* editor) {
    void* self = nullptr;
    ::el_wget(editor, EL_CLIENTDATA, &self);
    return *static_cast<Terminal*>(self);
  }

  // The next byte: 1; 0 at the end of the input, -1 when a signal asks.
  int read_byte(unsigned char& byte) {
    while (true) {
      if (signals && signals->interrupted()) return -1;
      if (signals && signals->take_resize()) {
        ::el_resize(editor);
        ::el_wset(editor, EL_REFRESH);
      }
      // With a timeout: the signal may be given to another thread, or come just before the wait.
      pollfd waiting{STDIN_FILENO, POLLIN, 0};
      if (::poll(&waiting, 1, 100) <= 0) continue;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n == 1) return 1;
      if (n == 0 || (errno != EINTR && errno != EAGAIN)) return 0;
    }
  }

  static int read_key(EditLine* editor, wchar_t* key) {
    Terminal& self = of(editor);
    unsigned char byte = 0;
    int got = self.read_byte(byte);
    if (got != 1) return got;
    std::string bytes(1, char(byte));
    for (int more = byte < 0xc0 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3; more > 0; --more) {
      if ((got = self.read_byte(byte)) != 1) return got;
      bytes += char(byte);
    }
    *key = wide(bytes)[0];
    return 1;
  }

  static unsigned char insert_paste(EditLine* editor, wint_t) {
    std::wstring text;
    wchar_t key = 0, before = 0;
    while (!text.ends_with(kPasteEnd)) {
      if (::el_wgetc(editor, &key) != 1) return CC_EOF;
      if (key != L'\n' || before != L'\r') text += key == L'\r' ? L'\n' : key;
      before = key;
    }
    text.resize(text.size() - kPasteEnd.size());
    std::erase_if(text, [](wchar_t c) { return (c < L' ' && c != L'\n' && c != L'\t') || c == 0x7f; });
    if (text.ends_with(L'\n')) text.pop_back();
    return text.empty() || ::el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }
  static unsigned char insert_newline(EditLine* editor, wint_t) { return ::el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR; }

  // Keys wait unseen and as they came. libedit goes from here to its own mode when it first waits, which is behind its prompt: too late for what comes
  // at once; it leaves with the mode of before.
  void hold_keys() const {
    termios mode = before;
    mode.c_lflag &= ~tcflag_t(ICANON | ECHO);  // ISIG stays: Ctrl-C is a signal
    mode.c_iflag &= ~tcflag_t(ICRNL);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
  }

  termios before{};
  EditLine* editor = nullptr;
  HistoryW* past = nullptr;
  TurnSignals* signals = nullptr;
};

LineEditor::LineEditor(InputHistory& history, TurnSignals* signals) : history_(history) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return;
  terminal_ = std::make_unique<Terminal>(signals);
  HistEventW event;
  for (const std::string& entry : history_.entries()) ::history_w(terminal_->past, &event, H_ENTER, wide(entry).c_str());
}

LineEditor::~LineEditor() = default;

LineEditor::Input LineEditor::read(std::string& text) {
  if (!terminal_) return read_plain(text);
  std::fflush(stdout);
  std::fputs(kPasteOn, stderr);
  int count = 0;
  const wchar_t* line = ::el_wgets(terminal_->editor, &count);
  terminal_->hold_keys();
  std::fputs(kPasteOff, stderr);
  if (!line || count <= 0) {
    std::fputs("\n", stderr);
    const bool interrupted = terminal_->signals && terminal_->signals->interrupted();
    return interrupted ? Input::kInterrupted : Input::kEnd;
  }
  text = narrow({line, size_t(count)});
  if (text.ends_with('\n')) text.pop_back();
  if (text.find_first_not_of(" \t\n") != std::string::npos) {
    HistEventW event;
    ::history_w(terminal_->past, &event, H_ENTER, wide(text).c_str());
    history_.add(text);
  }
  return Input::kText;
}

LineEditor::Input LineEditor::read_plain(std::string& text) {
  if (!read_stdin_line(text)) return Input::kEnd;
  if (text.ends_with('\r')) text.pop_back();
  return Input::kText;
}

}  // namespace finback
