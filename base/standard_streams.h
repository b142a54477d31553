// What a program does first.
#pragma once

namespace parley {

// Opens /dev/null where standard input, output or error is closed. Else the next file or socket that the
// program opens gets that number, and what is printed goes into it. A program whose main calls this has done
// it before any library's constructor ran, some of which open files. Ends the process with 1 where /dev/null
// cannot be opened.
void OpenStandardStreams();

}  // namespace parley
