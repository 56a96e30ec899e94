//! The executable: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    outboxd::cli::main(std::env::args_os())
}
