//! The `reap` command.

fn main() -> std::process::ExitCode {
    reap_shell::cli::main()
}
