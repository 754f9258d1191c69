//! Random bytes and the identifiers made of them.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Lower-case letters and digits: the alphabet of AWS's identifiers and of this trait's `alphanumeric`.
const ALPHANUMERIC: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The alphabet of Kubernetes' generated names: no vowels and no look-alikes, so that no words are spelt by accident
/// (apimachinery, `pkg/util/rand`).
const NAME_SUFFIX: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of randomness. Only `bytes` must be written; the rest follows from it.
pub trait Random: Send + Sync {
    /// Fills `buf` with random bytes.
    fn bytes(&self, buf: &mut [u8]);

    /// `length` lower-case hexadecimal digits.
    fn hex(&self, length: usize) -> String {
        pick(self, b"0123456789abcdef", length)
    }

    /// `length` lower-case letters and digits.
    fn alphanumeric(&self, length: usize) -> String {
        pick(self, ALPHANUMERIC, length)
    }

    /// `length` characters as Kubernetes appends to `generateName` (it uses five).
    fn name_suffix(&self, length: usize) -> String {
        pick(self, NAME_SUFFIX, length)
    }

    /// A random (version 4) UUID in its usual form.
    fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let number = u128::from_be_bytes(bytes);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (number >> 96) as u32,
            (number >> 80) as u16,
            (number >> 64) as u16,
            (number >> 48) as u16,
            number & 0xffff_ffff_ffff
        )
    }

    /// A number below `bound`, each equally likely; 0 if `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Numbers above the largest multiple of `bound` would favour small results, so they are drawn again.
        let fair = u64::MAX - u64::MAX % bound;
        loop {
            let mut bytes = [0; 8];
            self.bytes(&mut bytes);
            let number = u64::from_le_bytes(bytes);
            if number < fair {
                return number % bound;
            }
        }
    }
}

/// `length` characters of `alphabet` (at most 256 of them), each equally likely.
fn pick(random: &(impl Random + ?Sized), alphabet: &[u8], length: usize) -> String {
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut buffer = [0; 32];
    while text.len() < length {
        random.bytes(&mut buffer);
        for byte in buffer.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            if text.len() < length {
                text.push(char::from(alphabet[byte % alphabet.len()]));
            }
        }
    }
    text
}

/// Randomness seeded from the operating system, fit for keys and identifiers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn bytes(&self, buf: &mut [u8]) {
        rand::rng().fill_bytes(buf);
    }
}

/// The same bytes for the same seed, for tests and simulations. Never for keys.
#[derive(Debug)]
pub struct SeededRandom {
    generator: Mutex<StdRng>,
}

impl SeededRandom {
    /// A generator that repeats itself for the same `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            generator: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }
}

impl Random for SeededRandom {
    fn bytes(&self, buf: &mut [u8]) {
        self.generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(buf);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_another_differs() {
        let draw = |seed| {
            let random = SeededRandom::new(seed);
            (
                random.hex(17),
                random.alphanumeric(9),
                random.uuid(),
                random.below(1000),
            )
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn identifiers_have_the_asked_length_and_alphabet() {
        let random = SystemRandom;
        for length in [0, 1, 5, 17, 64, 1000] {
            assert_eq!(random.hex(length).len(), length);
            assert!(
                random
                    .hex(length)
                    .bytes()
                    .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
            );
            assert!(random.alphanumeric(length).bytes().all(|c| ALPHANUMERIC.contains(&c)));
            assert!(random.name_suffix(length).bytes().all(|c| NAME_SUFFIX.contains(&c)));
            assert_eq!(random.name_suffix(length).len(), length);
        }
    }

    #[test]
    fn every_character_of_an_alphabet_occurs() {
        let seen: BTreeSet<u8> = SeededRandom::new(1).name_suffix(2000).bytes().collect();
        assert_eq!(seen.len(), NAME_SUFFIX.len());
    }

    #[test]
    fn uuids_carry_version_and_variant_and_differ() {
        let (first, second) = (SystemRandom.uuid(), SystemRandom.uuid());
        assert_ne!(first, second);
        let parts: Vec<usize> = first.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(first.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&first.as_bytes()[19]));
    }

    #[test]
    fn below_stays_below() {
        let random = SeededRandom::new(3);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        let seen: BTreeSet<u64> = (0..500).map(|_| random.below(6)).collect();
        assert_eq!(seen, (0..6).collect());
    }
}
