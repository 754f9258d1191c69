//! Machines with real namespaces: started, found again, killed, restarted, as root and as an ordinary user.
//!
//! A machine's launcher and first process are this very program under other arguments, as they are `ondol` in the
//! product; so it looks at its arguments before it runs any test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod inside;
mod machines;
mod ordinary_user;

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

type Test = (&'static str, fn());

/// Every test. Those that need more than the system gives say so and pass; with `CI` set they fail.
const TESTS: &[Test] = &[
    (
        "a_machine_has_namespaces_of_its_own",
        machines::a_machine_has_namespaces_of_its_own,
    ),
    (
        "a_machine_outlives_whoever_started_it",
        machines::a_machine_outlives_whoever_started_it,
    ),
    (
        "a_child_that_is_killed_is_started_again",
        machines::a_child_that_is_killed_is_started_again,
    ),
    ("orphans_are_reaped", machines::orphans_are_reaped),
    (
        "killing_the_first_process_leaves_nothing",
        machines::killing_the_first_process_leaves_nothing,
    ),
    (
        "a_machine_that_is_told_to_stop_stops_its_children",
        machines::a_machine_that_is_told_to_stop_stops_its_children,
    ),
    (
        "the_kept_descriptor_is_the_first_processes_alone",
        machines::the_kept_descriptor_is_the_first_processes_alone,
    ),
    (
        "limits_are_set_where_the_host_can",
        machines::limits_are_set_where_the_host_can,
    ),
    (
        "a_machine_that_cannot_start_says_why",
        machines::a_machine_that_cannot_start_says_why,
    ),
    (
        "an_ordinary_user_has_machines_too",
        ordinary_user::an_ordinary_user_has_machines_too,
    ),
    (
        "a_user_without_ranges_is_told_what_helps",
        ordinary_user::a_user_without_ranges_is_told_what_helps,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    match words.as_slice() {
        ["machine-launch", directory] => report(machine_driver::launcher_main(Path::new(directory))),
        ["machine", directory, more @ ..] => inside::first_process(Path::new(directory), more),
        ["child", directory] => inside::child(Path::new(directory)),
        ["launch-and-die", directory] => machines::launch_and_die(Path::new(directory)),
        ["ordinary-user", step, directory] => ordinary_user::in_namespace(step, Path::new(directory)),
        words => run_tests(words),
    }
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            eprintln!("{said}");
            ExitCode::FAILURE
        }
    }
}

/// Runs tests as the usual harness does, as far as cargo and nextest ask for it.
fn run_tests(words: &[&str]) -> ExitCode {
    if words.contains(&"--list") {
        if !words.contains(&"--ignored") {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let exact = words.contains(&"--exact");
    let chosen = |name: &str| {
        let matches = |filter: &&&str| {
            if exact {
                name == **filter
            } else {
                name.contains(**filter)
            }
        };
        filters.is_empty() || filters.iter().any(matches)
    };
    let mut failed = false;
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed |= !passed;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the test needs, or why it cannot run here; where everything is expected to be there that is a failure.
fn possible<T>(what: Result<T, String>) -> Option<T> {
    match what {
        Ok(it) => Some(it),
        Err(missing) if std::env::var_os("CI").is_some() => panic!("cannot run: {missing}"),
        Err(missing) => {
            println!("skipped: {missing}");
            None
        }
    }
}
