//! What the kernel says of this process, under the names that every Prometheus client uses.
//!
//! The API servers of a region are one process, so each says the same.

use std::fs;

/// Ticks in a second of `/proc/self/stat`, which is 100 on every Linux that has been built for a PC or a phone.
const TICKS: f64 = 100.0;
/// Bytes of a page; the kernel counts resident memory in these.
const PAGE: u64 = 4096;

/// The metrics, in the older text form. What cannot be read is left out.
pub(super) fn text() -> String {
    let mut text = String::new();
    let mut add = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        }
    };
    let stat = Stat::read();
    let help = "Total user and system CPU time spent in seconds.";
    add(
        "process_cpu_seconds_total",
        "counter",
        help,
        stat.as_ref().map(|stat| stat.cpu),
    );
    let help = "Resident memory size in bytes.";
    add(
        "process_resident_memory_bytes",
        "gauge",
        help,
        stat.as_ref().map(|stat| stat.resident),
    );
    let help = "Virtual memory size in bytes.";
    add(
        "process_virtual_memory_bytes",
        "gauge",
        help,
        stat.as_ref().map(|stat| stat.virtual_size),
    );
    let started = stat.and_then(|stat| Some(boot_time()? + stat.start));
    let help = "Start time of the process since unix epoch in seconds.";
    add("process_start_time_seconds", "gauge", help, started);
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| count(entries.count()));
    add("process_open_fds", "gauge", "Number of open file descriptors.", open);
    let help = "Maximum number of open file descriptors.";
    add("process_max_fds", "gauge", help, most_files());
    text
}

#[allow(clippy::cast_precision_loss, reason = "a metric is a floating point number")]
fn count(number: usize) -> f64 {
    number as f64
}

/// As much of `/proc/self/stat` as is shown.
struct Stat {
    cpu: f64,
    /// Seconds after the start of the machine.
    start: f64,
    virtual_size: f64,
    resident: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let pages: u64 = fields.get(21)?.parse().ok()?;
        Some(Self {
            cpu: (number(11)? + number(12)?) / TICKS,
            start: number(19)? / TICKS,
            virtual_size: number(20)?,
            resident: count(usize::try_from(pages * PAGE).ok()?),
        })
    }
}

/// When the machine started, in seconds since the epoch.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn most_files() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
