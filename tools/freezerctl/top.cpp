// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// top: a live view of every cgroup that is frozen, freezing or being killed.
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <optional>

#define NCURSES_NOMACROS // they are functions here, with the names of others
#include <curses.h>

#include "tools/freezerctl/cli.h"
#include "tools/freezerctl/interrupt.h"
#include "tools/freezerctl/text.h"
#include "tools/freezerctl/top_view.h"
#include "tools/freezerctl/trace_run.h"
#include "tools/freezerctl/trace_text.h"
#include "user/duration.h"
#include "user/trace_session.h"

namespace freezerctl
{
namespace
{

using freezer::TraceSession;

struct TopArguments {
    std::string duration;
    bool once = false;
};

// A storm of events is shown this often, and times grow this often when nothing happens.
constexpr std::uint64_t kSoonest_ns = 200'000'000;
constexpr std::uint64_t kLatest_ns = 1'000'000'000;
constexpr std::uint64_t kBatch = 65536;

class Screen
{
  public:
    Screen() = default;
    Screen(const Screen &) = delete;
    Screen &operator=(const Screen &) = delete;
    virtual ~Screen() = default;
    virtual void show(const std::vector<std::string> &lines, const std::string &note) = 0;
    // Whether a key that was pressed asks to end.
    virtual bool wants_end() { return false; }
    [[nodiscard]] virtual int key_fd() const { return -1; }
};

// One table below the other, when it differs from the one before in more than times.
class PlainScreen : public Screen
{
  public:
    void show(const std::vector<std::string> &lines, const std::string &note) override
    {
        for (const std::string &line : lines)
            (void)print(line + "\n");
        (void)print(note + (note.empty() ? "\n" : "\n\n"));
        (void)standard_output().flush();
    }
};

class CursesScreen : public Screen
{
  public:
    CursesScreen()
    {
        // The characters only: numbers keep their point.
        std::setlocale(LC_CTYPE, "");
        ::initscr();
        ::cbreak();
        ::noecho();
        ::keypad(stdscr, TRUE);
        ::nodelay(stdscr, TRUE);
        ::curs_set(0);
    }
    CursesScreen(const CursesScreen &) = delete;
    CursesScreen &operator=(const CursesScreen &) = delete;
    ~CursesScreen() override { ::endwin(); }

    void show(const std::vector<std::string> &lines, const std::string &note) override
    {
        ::erase();
        const int rows = getmaxy(stdscr);
        const int columns = getmaxx(stdscr);
        for (int row = 0; row < rows - 1 && row < static_cast<int>(lines.size()); ++row) {
            if (row == 0)
                ::attron(A_REVERSE);
            ::mvaddnstr(row, 0, lines[static_cast<size_t>(row)].c_str(), columns);
            if (row == 0)
                ::attroff(A_REVERSE);
        }
        const auto hidden = static_cast<int>(lines.size()) - (rows - 1);
        const std::string last = (hidden > 0 ? "and " + std::to_string(hidden) + " more; " : "") +
                                 "q ends" + (note.empty() ? "" : "; " + note);
        ::mvaddnstr(rows - 1, 0, last.c_str(), columns);
        ::refresh();
    }
    bool wants_end() override
    {
        for (int key = 0; (key = ::getch()) != ERR;) {
            if (key == 'q' || key == 'Q')
                return true;
        }
        return false;
    }
    [[nodiscard]] int key_fd() const override { return STDIN_FILENO; }
};

// Draws when something happened, not more often than is good for the eye, until it is to end.
int watch(Session &cli, TraceSession &session, TopView &view, Screen &screen,
          const InterruptFd &interrupt, std::optional<std::uint64_t> end_ns)
{
    const bool plain = screen.key_fd() < 0;
    const int output = plain && is_pipe(STDOUT_FILENO) ? STDOUT_FILENO : -1;
    std::vector<int> readable{interrupt.get()};
    if (!plain)
        readable.push_back(screen.key_fd());
    std::uint64_t drawn_ns = 0;
    bool changed = true;
    std::vector<TopRow> last;
    for (;;) {
        const std::uint64_t now = freezer::now_ns();
        if (end_ns && now >= *end_ns)
            return cli.code();
        if (now >= drawn_ns + (changed ? kSoonest_ns : kLatest_ns)) {
            const auto status = cli.freezer().frozen_cgroups(false);
            if (!status) {
                cli.refuse("freezerctl", status.error());
                return cli.code();
            }
            auto rows = view.rows(*status, freezer::now_ns());
            // Most events of a machine change nothing here.
            if (!plain || drawn_ns == 0 || !same_but_times(rows, last))
                screen.show(describe_top(rows), describe_drops(session.drops()));
            last = std::move(rows);
            drawn_ns = now;
            changed = false;
        }
        if (standard_output().error() != 0)
            return standard_output().complain_of_error();
        // On a terminal the times go on; a file or a pipe gets what is new.
        std::optional<std::uint64_t> next = end_ns;
        if (changed || !plain) {
            const std::uint64_t draw = drawn_ns + (changed ? kSoonest_ns : kLatest_ns);
            next = std::min(draw, end_ns.value_or(draw));
        }
        const auto wake = session.wait(next, readable, output);
        if (!wake) {
            cli.refuse("freezerctl", wake.error());
            return cli.code();
        }
        std::uint64_t batch = 0;
        session.drain([&](const freezer::TraceEvent &event) {
            view.apply(event);
            changed = true;
            return ++batch < kBatch;
        });
        if (wake->hangup)
            return kSignal + SIGPIPE;
        if (wake->descriptor == 0U || (!plain && screen.wants_end()))
            return cli.code();
    }
}

int top(const TopArguments &args)
{
    Session cli("top", false);
    const InterruptFd interrupt;
    std::signal(SIGPIPE, SIG_IGN);
    if (!cli.open({}))
        return cli.code();
    freezer::TraceOptions options;
    options.events =
        *freezer::parse_event_list("requests,tasks,frozen,populated,removed,signal,exit");
    auto session = TraceSession::open(cli.freezer().resolver().mount(), {}, options);
    if (!session) {
        cli.refuse("freezerctl", session.error());
        return cli.code();
    }
    TopView view;
    for (const freezer::TraceEvent &member : session->members())
        view.apply(member);
    std::optional<std::uint64_t> end_ns;
    if (!args.duration.empty()) {
        if (const auto time = *freezer::parse_timeout(args.duration))
            end_ns = freezer::now_ns() + *time;
    }
    if (args.once) {
        const auto status = cli.freezer().frozen_cgroups(false);
        if (!status) {
            cli.refuse("freezerctl", status.error());
            return cli.code();
        }
        PlainScreen().show(describe_top(view.rows(*status, freezer::now_ns())), "");
        return cli.code();
    }
    if (::isatty(STDOUT_FILENO) == 1 && ::isatty(STDIN_FILENO) == 1) {
        CursesScreen screen;
        return watch(cli, *session, view, screen, interrupt, end_ns);
    }
    PlainScreen screen;
    return watch(cli, *session, view, screen, interrupt, end_ns);
}

void describe_options(Syntax &syntax, TopArguments &args)
{
    add_duration_option(syntax, args.duration);
    syntax.flag("--once", args.once, "Print one table, and end");
}

} // namespace

void add_top_verb(Cli &cli)
{
    cli.add_verb<TopArguments>({"top"},
                               "Show live which cgroups are frozen, freezing or being killed",
                               describe_options, top);
}

} // namespace freezerctl
