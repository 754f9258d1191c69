//! Priority levels: their shares of the server's seats, and what they lend to each other.
//!
//! Source: `apf_controller.go` (`updateBorrowingLocked`), `max_min_fair.go`.

use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;

/// More queues than this would cost memory for nothing.
const MOST_QUEUES: usize = 10_000;

/// What happens to requests that cannot run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// They are refused.
    Reject,
    /// They wait in queues.
    Queue {
        /// Number of queues.
        queues: usize,
        /// Queues among which a flow's requests are spread.
        hand: usize,
        /// Requests that wait in a queue at most.
        length: usize,
    },
}

/// A priority level.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Its requests run at once, whatever else runs.
    pub exempt: bool,
    /// Shares of the server's seats.
    pub shares: i32,
    /// Percent of its seats that others may use.
    pub lendable_percent: i32,
    /// Percent of its seats that it may use more; `None` = without limit.
    pub borrowing_percent: Option<i32>,
    /// What happens to requests that cannot run at once.
    pub response: Response,
}

impl Level {
    /// Reads a configuration. Numbers that make no sense count as the nearest that do.
    pub fn read(configuration: &PriorityLevelConfiguration) -> Option<Self> {
        let spec = configuration.spec.as_ref()?;
        let mut level = Self {
            name: configuration.metadata.name.clone()?,
            uid: configuration.metadata.uid.clone().unwrap_or_default(),
            exempt: spec.type_ == "Exempt",
            shares: 0,
            lendable_percent: 0,
            borrowing_percent: None,
            response: Response::Reject,
        };
        let percent = |value: Option<i32>| value.unwrap_or(0).clamp(0, 100);
        if let Some(limited) = &spec.limited {
            level.shares = limited.nominal_concurrency_shares.unwrap_or(30).max(0);
            level.lendable_percent = percent(limited.lendable_percent);
            level.borrowing_percent = limited.borrowing_limit_percent.map(|percent| percent.max(0));
            let queuing = limited
                .limit_response
                .as_ref()
                .and_then(|response| response.queuing.as_ref());
            if let Some(queuing) = queuing {
                let number = |value: Option<i32>, default| {
                    value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
                };
                level.response = Response::Queue {
                    queues: number(queuing.queues, 64).clamp(1, MOST_QUEUES),
                    hand: number(queuing.hand_size, 8).max(1),
                    length: number(queuing.queue_length_limit, 50).max(1),
                };
            }
        } else if let Some(exempt) = &spec.exempt {
            level.shares = exempt.nominal_concurrency_shares.unwrap_or(0).max(0);
            level.lendable_percent = percent(exempt.lendable_percent);
        }
        Some(level)
    }

    /// The seats that one request takes at most, of a level that has so many by its shares: 15 percent of them, and no more
    /// than let a whole hand of queues run one each. Without queues only [`crate::width`] limits them.
    pub fn widest(&self, nominal: u32) -> u32 {
        match self.response {
            Response::Reject => u32::MAX,
            Response::Queue { hand, .. } => {
                let hand = u32::try_from(hand).unwrap_or(u32::MAX);
                (u64::from(nominal) * 15)
                    .div_ceil(100)
                    .min(u64::from(nominal / hand))
                    .max(1) as u32
            }
        }
    }
}

/// How many seats a level has, at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By its shares.
    pub nominal: u32,
    /// What it keeps when others borrow.
    pub least: u32,
    /// What it may have when it borrows.
    pub most: u32,
}

/// The seats of each level, of all that the server has.
pub fn limits(levels: &[Level], server_seats: u32) -> Vec<Limits> {
    let all: f64 = levels.iter().map(|level| f64::from(level.shares)).sum();
    let of = |level: &Level| {
        let nominal = if all > 0.0 {
            f64::from(server_seats) * f64::from(level.shares) / all
        } else {
            0.0
        };
        let nominal = nominal.ceil();
        let part = |percent: i32| (nominal * f64::from(percent) / 100.0).round();
        let most = level
            .borrowing_percent
            .map_or(f64::from(server_seats), |percent| nominal + part(percent));
        Limits {
            nominal: nominal as u32,
            least: (nominal - part(level.lendable_percent)) as u32,
            most: most.min(f64::from(server_seats)).max(nominal) as u32,
        }
    };
    levels.iter().map(of).collect()
}

/// What was wanted in a period: the most at once, the mean, and the deviation from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// High-water mark.
    pub high: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

/// How much of the last periods' demand still counts.
const MEMORY: f64 = 0.977;

/// The demand that counts after a period: it rises at once and falls slowly.
pub fn smoothed(before: f64, period: &Demand) -> f64 {
    let envelope = period.high.min(period.mean + period.deviation);
    envelope.max(MEMORY * before + (1.0 - MEMORY) * envelope)
}

/// The seats that each level gets of all, by what it wants: what is left goes to all in equal proportion of their targets,
/// but to none more or less than its limits.
pub fn share_out(limits: &[Limits], demands: &[f64], server_seats: u32) -> Vec<u32> {
    let targets: Vec<f64> = limits
        .iter()
        .zip(demands)
        .map(|(limits, demand)| demand.max(f64::from(limits.least)).max(1.0))
        .collect();
    let given = |proportion: f64| -> Vec<f64> {
        let each = limits.iter().zip(&targets);
        each.map(|(limits, target)| (target * proportion).clamp(f64::from(limits.least), f64::from(limits.most)))
            .collect()
    };
    let wanted = f64::from(server_seats).max(limits.iter().map(|limits| f64::from(limits.least)).sum());
    let (mut low, mut high) = (0.0, f64::from(server_seats).max(1.0));
    for _ in 0..48 {
        let middle = (low + high) / 2.0;
        if given(middle).iter().sum::<f64>() > wanted {
            high = middle
        } else {
            low = middle
        }
    }
    given(low).into_iter().map(|seats| seats.round() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap;

    fn levels() -> Vec<Level> {
        bootstrap::levels().iter().filter_map(Level::read).collect()
    }

    #[test]
    fn shares_become_seats_as_upstreams_documentation_has_them() {
        let levels = levels();
        let limits = limits(&levels, 600);
        let seats = |name: &str| {
            let index = levels.iter().position(|level| level.name == name).unwrap();
            let Limits { nominal, least, .. } = limits[index];
            (nominal, least)
        };
        assert_eq!(seats("catch-all"), (13, 13));
        assert_eq!(seats("leader-election"), (25, 25));
        assert_eq!(seats("workload-high"), (98, 49));
        assert_eq!(seats("workload-low"), (245, 24));
        assert_eq!(seats("exempt"), (0, 0));
    }

    #[test]
    fn a_level_whose_numbers_make_no_sense_has_limits_all_the_same() {
        let mut configuration = bootstrap::levels().pop().unwrap();
        let limited = configuration.spec.as_mut().unwrap().limited.as_mut().unwrap();
        limited.nominal_concurrency_shares = Some(-5);
        limited.lendable_percent = Some(-50);
        limited.borrowing_limit_percent = Some(-50);
        let level = Level::read(&configuration).unwrap();
        assert_eq!((level.shares, level.lendable_percent), (0, 0));
        let mut all = levels();
        all.push(level);
        let limits = limits(&all, 600);
        assert!(limits.iter().all(|limits| limits.least <= limits.most));
        assert_eq!(share_out(&limits, &vec![0.0; all.len()], 600).len(), all.len());
    }

    #[test]
    fn one_request_leaves_most_seats_of_its_level_to_others() {
        let levels = levels();
        let widest = |name: &str, nominal| {
            let level = levels.iter().find(|level| level.name == name).unwrap();
            level.widest(nominal)
        };
        assert_eq!(widest("workload-low", 245), 37);
        assert_eq!(widest("workload-high", 98), 15);
        assert_eq!(widest("leader-election", 25), 4);
        assert_eq!(widest("global-default", 5), 1);
        assert_eq!(widest("global-default", 0), 1);
        assert_eq!(widest("catch-all", 13), u32::MAX);
    }

    #[test]
    fn idle_levels_lend_to_busy_ones_and_keep_their_least() {
        let levels = levels();
        let limits = limits(&levels, 600);
        let demands: Vec<f64> = levels
            .iter()
            .map(|level| if level.name == "global-default" { 500.0 } else { 0.0 })
            .collect();
        let seats = share_out(&limits, &demands, 600);
        for (index, level) in levels.iter().enumerate() {
            let enough = if level.name == "global-default" {
                seats[index] > 200
            } else {
                seats[index] >= limits[index].least
            };
            assert!(enough, "{} has {}", level.name, seats[index]);
        }
        assert!(seats.iter().sum::<u32>() <= 610, "{seats:?}");
    }

    #[test]
    fn demand_rises_at_once_and_falls_slowly() {
        let busy = Demand {
            high: 100.0,
            mean: 80.0,
            deviation: 10.0,
        };
        assert_eq!(smoothed(0.0, &busy), 90.0);
        let after = smoothed(90.0, &Demand::default());
        assert!(after > 87.0 && after < 90.0);
    }
}
