//! How many seats a request takes. Source: `apiserver/pkg/util/flowcontrol/request`.

/// The most that a list takes.
const MOST_OF_A_LIST: u32 = 100;
/// Objects of a list for one seat.
const OBJECTS: u64 = 100;
/// What is known of a list before it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct List {
    /// Objects of the resource.
    pub stored: u64,
    /// Its `limit`; 0 = all.
    pub limit: u64,
    /// It names one object.
    pub single: bool,
    /// It is answered from memory.
    pub cached: bool,
    /// It selects by labels or fields.
    pub selects: bool,
}

/// The seats of a list, or of a watch that begins with all objects. `most` are the seats that a request of its level
/// may take.
pub fn list(list: &List, most: u32) -> u32 {
    let limited = if list.limit > 0 {
        list.limit.min(list.stored)
    } else {
        list.stored
    };
    let read = match list {
        List { single: true, .. } => 1,
        List { cached: true, .. } => list.stored,
        List { selects: true, .. } => list.stored + limited,
        _ => 2 * limited,
    };
    let seats = u32::try_from(read.div_ceil(OBJECTS)).unwrap_or(u32::MAX);
    seats.clamp(1, most.clamp(1, MOST_OF_A_LIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lists_take_more_seats() {
        let of = |stored, limit, cached, selects| List {
            stored,
            limit,
            cached,
            selects,
            single: false,
        };
        assert_eq!(list(&of(0, 0, false, false), 50), 1);
        assert_eq!(list(&of(1000, 0, true, false), 50), 10);
        assert_eq!(list(&of(1000, 500, false, false), 50), 10);
        assert_eq!(list(&of(1000, 500, false, true), 50), 15);
        assert_eq!(list(&of(1_000_000, 0, true, false), 50), 50);
        assert_eq!(list(&of(1_000_000, 0, true, false), 500), 100);
        let single = List {
            single: true,
            ..of(1_000_000, 0, true, false)
        };
        assert_eq!(list(&single, 50), 1);
    }
}
