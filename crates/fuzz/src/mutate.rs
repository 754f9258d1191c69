//! The changes that are made to inputs.

use clock::Random;

/// Bytes with a meaning in most languages.
const SPECIAL: &[u8] = b"\0\x01\x7f\x80\xff\"'\\/{}[]()<>:;,.=&?%*+-~!@#$^| \n\t_0919azAZ";
/// Openings that are repeated to make inputs deep.
const OPENINGS: &[&str] = &[
    "[", "{\"a\":", "(", "-", "!", "a: ", "- ", "&a [", "{\"a\":[", "x.map(y,",
];
/// The deepest that inputs are made.
const DEEPEST: u64 = 4_000;
/// Changes that are made at once.
const MOST_CHANGES: u64 = 6;

/// Makes new inputs of known ones.
pub struct Mutator<'a> {
    random: &'a dyn Random,
    words: &'a [&'a str],
}

impl<'a> Mutator<'a> {
    /// Chooses with `random`; `words` are put in here and there.
    pub fn new(random: &'a dyn Random, words: &'a [&'a str]) -> Self {
        Self { random, words }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or(0)
    }

    fn byte(&self) -> u8 {
        let mut byte = [0];
        self.random.bytes(&mut byte);
        byte[0]
    }

    /// A copy of one of the inputs with some changes.
    pub fn changed(&self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.random.below(MOST_CHANGES) {
            self.change(&mut input, inputs);
        }
        input
    }

    /// A place between two bytes.
    fn place(&self, input: &[u8]) -> usize {
        self.below(input.len() + 1)
    }

    /// A piece of an input, short more often than long.
    fn piece(&self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.place(input);
        let most = if self.below(4) == 0 { input.len() } else { 8 };
        let end = (start + self.below(most + 1)).min(input.len());
        start..end
    }

    fn change(&self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.place(input);
        match self.below(12) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.byte(),
            2 => input.insert(at, SPECIAL[self.below(SPECIAL.len())]),
            3 => {
                input.drain(self.piece(input));
            }
            4 => {
                let piece = input[self.piece(input)].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = &inputs[self.below(inputs.len())];
                let piece = other[self.piece(other)].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let other = &inputs[self.below(inputs.len())];
                input.truncate(at);
                input.extend_from_slice(&other[self.place(other)..]);
            }
            7 => input.truncate(at),
            8 if self.below(20) == 0 => {
                let opening = OPENINGS[self.below(OPENINGS.len())].as_bytes();
                let times = usize::try_from(self.random.below(DEEPEST)).unwrap_or(0);
                input.splice(at..at, opening.repeat(times));
            }
            9 => {
                let number = self.number();
                input.splice(at..at, number.into_bytes());
            }
            _ if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())].bytes();
                input.splice(at..at, word.collect::<Vec<u8>>());
            }
            _ => {}
        }
    }

    /// Numbers at which arithmetic ends.
    fn number(&self) -> String {
        let edges = [
            0,
            1,
            i128::from(i32::MAX),
            i128::from(u32::MAX),
            i128::from(i64::MAX),
            i128::from(i64::MIN),
            i128::from(u64::MAX),
            i128::MAX,
        ];
        let edge = edges[self.below(edges.len())];
        match self.below(4) {
            0 => format!("{edge}e{}", self.below(400)),
            1 => format!("{edge}.{edge}"),
            2 => format!("-{edge}"),
            _ => edge.to_string(),
        }
    }
}
