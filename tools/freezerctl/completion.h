// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TOOLS_COMPLETION_H
#define FREEZERCTL_TOOLS_COMPLETION_H

#include <string>
#include <vector>

namespace CLI
{
class App;
} // namespace CLI

namespace freezerctl
{

// What the last of the words, those behind "freezerctl", may become; of targets nothing.
struct Completion {
    std::vector<std::string> words;
    bool target = false; // a TARGET may stand there
};
Completion complete_words(const CLI::App &app, const std::vector<std::string> &words);

// For a shell to read: what makes it ask the command itself. "" for another shell than bash, zsh
// and fish.
std::string completion_script(const std::string &shell);

} // namespace freezerctl

#endif
