//! Shuffle sharding: each flow is dealt a hand of queues, and two flows seldom the same one.
//!
//! Source: `apiserver/pkg/util/shufflesharding`.

/// The hand of a flow: `size` different numbers below `deck`, in the order in which they are dealt.
///
/// The hash is read as a number in a system of mixed bases: deck, deck - 1, …
pub fn deal(hash: u64, deck: usize, size: usize) -> Vec<usize> {
    let mut rest = hash;
    let mut hand: Vec<usize> = Vec::with_capacity(size.min(deck));
    for dealt in 0..size.min(deck) {
        let left = (deck - dealt) as u64;
        let mut card = usize::try_from(rest % left).unwrap_or(0);
        rest /= left;
        // The card is counted among those that are left: every lower one in the hand pushes it up.
        let mut sorted = hand.clone();
        sorted.sort_unstable();
        for held in sorted {
            if card >= held {
                card += 1;
            }
        }
        hand.push(card);
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_hold_different_cards_of_the_deck() {
        for hash in 0..2000_u64 {
            let mut hand = deal(hash.wrapping_mul(0x9E37_79B9_7F4A_7C15), 8, 4);
            assert_eq!(hand.len(), 4);
            assert!(hand.iter().all(|card| *card < 8));
            hand.sort_unstable();
            hand.dedup();
            assert_eq!(hand.len(), 4);
        }
        assert_eq!(deal(0, 8, 3), [0, 1, 2]);
        assert_eq!(deal(5, 2, 4).len(), 2);
    }
}
