//! How fast replicas may change, and how long earlier recommendations count. Source: `horizontal.go`,
//! `normalizeDesiredReplicasWithBehaviors`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec};

/// Upstream's `--horizontal-pod-autoscaler-downscale-stabilization`.
const DOWN_WINDOW: i32 = 300;
/// The longest window and period that can be asked for.
const LONGEST: SignedDuration = SignedDuration::from_secs(3600);

/// What was recommended and done for one autoscaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    recommended: Vec<(Timestamp, i32)>,
    /// Replicas added.
    ups: Vec<(Timestamp, i32)>,
    /// Replicas removed.
    downs: Vec<(Timestamp, i32)>,
}

impl History {
    /// The replicas that there are when an autoscaler is first seen count as a recommendation.
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push((now, current));
        }
        for list in [&mut self.recommended, &mut self.ups, &mut self.downs] {
            list.retain(|(at, _)| *at + LONGEST > now);
        }
    }

    /// Remembers that the target was rescaled.
    pub fn rescaled(&mut self, from: i32, to: i32, now: Timestamp) {
        if to > from {
            self.ups.push((now, to - from));
        } else {
            self.downs.push((now, from - to));
        }
    }

    fn within(list: &[(Timestamp, i32)], seconds: i32, now: Timestamp) -> impl Iterator<Item = i32> {
        let window = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        list.iter()
            .filter(move |(at, _)| *at + window > now)
            .map(|(_, number)| *number)
    }
}

/// The rules of one direction.
struct Rules {
    window: i32,
    /// `Max`, `Min` or `Disabled`.
    select: String,
    policies: Vec<HPAScalingPolicy>,
}

/// The limits of an autoscaler.
pub(super) struct Limits {
    least: i32,
    most: i32,
    up: Rules,
    down: Rules,
}

impl Limits {
    pub fn of(spec: &HorizontalPodAutoscalerSpec) -> Self {
        let behavior = spec.behavior.clone().unwrap_or_default();
        let policy = |kind: &str, value: i32| HPAScalingPolicy {
            type_: kind.to_owned(),
            value,
            period_seconds: 15,
        };
        let ups = vec![policy("Pods", 4), policy("Percent", 100)];
        Self {
            least: spec.min_replicas.unwrap_or(1),
            most: spec.max_replicas,
            up: Rules::of(behavior.scale_up, 0, ups),
            down: Rules::of(behavior.scale_down, DOWN_WINDOW, vec![policy("Percent", 100)]),
        }
    }
}

impl Rules {
    fn of(given: Option<HPAScalingRules>, window: i32, policies: Vec<HPAScalingPolicy>) -> Self {
        let given = given.unwrap_or_default();
        Self {
            window: given.stabilization_window_seconds.unwrap_or(window),
            select: given.select_policy.unwrap_or_else(|| "Max".to_owned()),
            policies: given
                .policies
                .filter(|policies| !policies.is_empty())
                .unwrap_or(policies),
        }
    }
}

/// A condition: whether it holds, why, and the words.
type Said = (bool, &'static str, &'static str);

/// What is left of a proposal.
pub(super) struct Normalized {
    pub replicas: i32,
    pub able: Said,
    pub limited: Said,
}

/// Brings a proposal within what windows and policies allow, and remembers it.
pub(super) fn normalize(
    limits: &Limits,
    history: &mut History,
    current: i32,
    proposed: i32,
    now: Timestamp,
) -> Normalized {
    let (stable, able) = stabilized(limits, history, current, proposed, now);
    history.recommended.push((now, proposed));
    let (replicas, limited) = within_rates(limits, history, current, stable, now);
    Normalized {
        replicas,
        able,
        limited,
    }
}

fn stabilized(limits: &Limits, history: &History, current: i32, proposed: i32, now: Timestamp) -> (i32, Said) {
    let up = History::within(&history.recommended, limits.up.window, now).fold(proposed, i32::min);
    let down = History::within(&history.recommended, limits.down.window, now).fold(proposed, i32::max);
    let stable = current.max(up).min(down);
    if stable == proposed {
        let words = "recommended size matches current size";
        return (proposed, (true, "ReadyForNewScale", words));
    }
    let said = if proposed >= current {
        let words = "recent recommendations were lower than current one, applying the lowest recent recommendation";
        (true, "ScaleUpStabilized", words)
    } else {
        let words = "recent recommendations were higher than current one, applying the highest recent recommendation";
        (true, "ScaleDownStabilized", words)
    };
    (stable, said)
}

fn within_rates(limits: &Limits, history: &History, current: i32, wanted: i32, now: Timestamp) -> (i32, Said) {
    let fine = (
        false,
        "DesiredWithinRange",
        "the desired count is within the acceptable range",
    );
    if wanted > current {
        let rate = up_limit(&limits.up, history, current, now).max(current);
        let (most, said) = if limits.most > rate {
            let words = "the desired replica count is increasing faster than the maximum scale rate";
            (rate, (true, "ScaleUpLimit", words))
        } else {
            let words = "the desired replica count is more than the maximum replica count";
            (limits.most, (true, "TooManyReplicas", words))
        };
        return if wanted > most { (most, said) } else { (wanted, fine) };
    }
    if wanted < current {
        let rate = down_limit(&limits.down, history, current, now).min(current);
        let (least, said) = if limits.least < rate {
            let words = "the desired replica count is decreasing faster than the maximum scale rate";
            (rate, (true, "ScaleDownLimit", words))
        } else {
            let words = "the desired replica count is less than the minimum replica count";
            (limits.least, (true, "TooFewReplicas", words))
        };
        return if wanted < least { (least, said) } else { (wanted, fine) };
    }
    (wanted, fine)
}

/// The most replicas that policies allow now.
fn up_limit(rules: &Rules, history: &History, current: i32, now: Timestamp) -> i32 {
    let of = |policy: &HPAScalingPolicy| {
        let added: i32 = History::within(&history.ups, policy.period_seconds, now).sum();
        let removed: i32 = History::within(&history.downs, policy.period_seconds, now).sum();
        let start = current - added + removed;
        match policy.type_.as_str() {
            "Pods" => start.saturating_add(policy.value),
            _ => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    };
    let proposed = rules.policies.iter().map(of);
    match rules.select.as_str() {
        "Disabled" => current,
        "Min" => proposed.min().unwrap_or(current),
        _ => proposed.max().unwrap_or(current),
    }
}

/// The fewest replicas that policies allow now.
fn down_limit(rules: &Rules, history: &History, current: i32, now: Timestamp) -> i32 {
    let of = |policy: &HPAScalingPolicy| {
        let added: i32 = History::within(&history.ups, policy.period_seconds, now).sum();
        let removed: i32 = History::within(&history.downs, policy.period_seconds, now).sum();
        let start = current - added + removed;
        match policy.type_.as_str() {
            "Pods" => start - policy.value,
            _ => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    };
    let proposed = rules.policies.iter().map(of);
    match rules.select.as_str() {
        "Disabled" => current,
        "Min" => proposed.max().unwrap_or(current),
        _ => proposed.min().unwrap_or(current),
    }
}
