//! Parses arguments, calls `cli`, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadline::cli::main()
}
