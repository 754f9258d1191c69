//! Random bytes for decoders: seeded mutation of known inputs, guided by what the decoder answers.
//!
//! A target is an ordinary test that calls [`run`]. It takes a second; `ONDOL_FUZZ_SECONDS` makes it take longer, and
//! `ONDOL_FUZZ_SEED` repeats a run. There is no coverage to follow on a stable compiler, so an input is kept to be changed
//! further when its answer is of a new kind: another error, another shape of the result.
//!
//! **Invariant:** knows no decoder; depends on nothing but `clock`.
#![forbid(unsafe_code)]

mod mutate;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use clock::{Random, SeededRandom, SystemRandom};

use self::mutate::Mutator;

/// An answer later than this is a failure: whoever sends such bytes keeps the server busy. Generous, because tests run
/// unoptimised on busy machines.
const SLOWEST: Duration = Duration::from_secs(20);
/// Inputs that are kept to be changed further.
const MOST_INPUTS: usize = 2_000;
/// Longer inputs are cut; limits of size are the business of those who read from the network.
const LONGEST_INPUT: usize = 64 << 10;

/// Where the inputs of a target come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Corpus<'a> {
    /// Inputs that the decoder understands, or nearly.
    pub inputs: &'a [&'a [u8]],
    /// Words of the language, which are put in here and there.
    pub words: &'a [&'a str],
}

/// Feeds a decoder with changed inputs until the time is over.
///
/// `check` answers what kind of result an input had; digits in it are not looked at. It panics when the decoder breaks a
/// promise. The panic is passed on after the input was printed.
///
/// # Panics
/// With the decoder, and when one answer takes longer than twenty seconds.
pub fn run(target: &str, corpus: Corpus<'_>, check: impl Fn(&[u8]) -> String) {
    let seconds = number("ONDOL_FUZZ_SECONDS").unwrap_or(1);
    let seed = number("ONDOL_FUZZ_SEED").unwrap_or_else(|| SystemRandom.below(u64::MAX));
    println!("{target}: ONDOL_FUZZ_SEED={seed}");
    let random = SeededRandom::new(seed);
    let mutator = Mutator::new(&random, corpus.words);
    let mut inputs: Vec<Vec<u8>> = corpus.inputs.iter().map(|input| input.to_vec()).collect();
    inputs.push(Vec::new());
    let mut seen = HashSet::new();
    for input in &inputs {
        seen.insert(kind(&try_one(target, input, &check)));
    }
    let (begun, mut tried) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut input = mutator.changed(&inputs);
        input.truncate(LONGEST_INPUT);
        if seen.insert(kind(&try_one(target, &input, &check))) && inputs.len() < MOST_INPUTS {
            inputs.push(input);
        }
        tried += 1;
    }
    println!("{target}: {tried} inputs, {} kinds of answers", seen.len());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn try_one(target: &str, input: &[u8], check: &impl Fn(&[u8]) -> String) -> String {
    let started = Instant::now();
    match catch_unwind(AssertUnwindSafe(|| check(input))) {
        Ok(answer) => {
            let took = started.elapsed();
            assert!(
                took < SLOWEST,
                "{target}: {took:?} for {} bytes: b\"{}\"",
                input.len(),
                input.escape_ascii()
            );
            answer
        }
        Err(panic) => {
            eprintln!("{target} fails on {} bytes: b\"{}\"", input.len(), input.escape_ascii());
            resume_unwind(panic)
        }
    }
}

/// An answer without its numbers and without what is quoted, so that the same complaint about another place is not new.
fn kind(answer: &str) -> String {
    let mut quoted = false;
    let mut kept = String::new();
    for letter in answer.chars().take(200) {
        match letter {
            '"' | '`' => quoted = !quoted,
            _ if quoted || letter.is_ascii_digit() => {}
            _ => kept.push(letter),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_behind_three_steps_is_found() {
        let found = std::cell::Cell::new(false);
        let corpus = Corpus {
            inputs: &[b"{}"],
            words: &["one", "two", "three"],
        };
        run("steps", corpus, |input| {
            let text = String::from_utf8_lossy(input);
            let step = ["one", "two", "three"]
                .iter()
                .take_while(|word| text.contains(**word))
                .count();
            found.set(found.get() || step == 3);
            ["a", "b", "c", "d"][step].to_owned()
        });
        assert!(found.get());
    }

    #[test]
    fn complaints_differ_by_their_words_only() {
        assert_eq!(kind("line 3: \"x\" is unknown"), kind("line 14: \"yy\" is unknown"));
        assert_ne!(kind("line 3: unknown"), kind("line 3: too deep"));
    }
}
